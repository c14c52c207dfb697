{
  prometheusRules+:: std.parseYaml(importstr '../../rules.yml'),
}
