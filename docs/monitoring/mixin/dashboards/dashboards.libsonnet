{
  grafanaDashboards+:: {
    'reboot-coordinator.json': import '../../dashboard.json',
  },
}
