#!/bin/sh
# Writes a mail for each event that somebody has to look at.
#
#     event_hook:
#       command: [/usr/local/sbin/mail.sh]
#       timeout_sec: 30
#
# It needs a sendmail, which every mail server and msmtp bring.
set -eu

to=${TO:-root}
from=${FROM:-reboot-coordinator}
sendmail=${SENDMAIL:-sendmail}
# Those worth a mail, with spaces between them. "all": every one.
events=${EVENTS:-aborted taken_away held line_stopped budget_used_up}

case " $events " in
*" all "* | *" $RC_EVENT_NAME "*) ;;
*) exit 0 ;;
esac

# No text has a line break in it, so none can add a header. A dot alone must not end the mail: -i.
{
    printf 'From: %s\nTo: %s\nSubject: %s: %s\n' "$from" "$to" "$RC_EVENT_NODE" "$RC_EVENT_NAME"
    printf 'Content-Type: text/plain; charset=utf-8\nAuto-Submitted: auto-generated\n\n'
    printf '%s\n\n' "$RC_EVENT_TEXT"
    printf 'Node:     %s\nTime:     %s\nReasons:  %s\n' "$RC_EVENT_NODE" "$RC_EVENT_TIME" "${RC_EVENT_REASONS:-none}"
    printf '\nWhat to do: reboot-coordinator status, or reboot-coordinator explain %s\n' "$RC_EVENT_NODE"
} | "$sendmail" -i "$to"
