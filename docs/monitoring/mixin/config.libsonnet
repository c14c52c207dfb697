{
  _config+:: {
    // The scrape job, as in the alerts and the dashboard.
    job: 'reboot-coordinator',

    // Where your copy of docs/runbook.md is. %s becomes the alert's name in small letters.
    runbookURLPattern: '/usr/share/doc/reboot-coordinator/runbook.md#%s',

    // Labels for every alert, such as a team.
    alertLabels: {},
  },
}
