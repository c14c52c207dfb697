// The rules of ../../alerts.yml, with what _config says.
local own = std.parseYaml(importstr '../../alerts.yml');

{
  prometheusAlerts+:: {
    groups+: [
      group {
        rules: [
          rule {
            expr: std.strReplace(rule.expr, 'job="reboot-coordinator"', 'job="%s"' % $._config.job),
            labels+: $._config.alertLabels,
            annotations+: { runbook_url: $._config.runbookURLPattern % std.asciiLower(rule.alert) },
          }
          for rule in group.rules
        ],
      }
      for group in own.groups
    ],
  },
}
