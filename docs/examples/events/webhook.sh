#!/bin/sh
# Posts each event to a webhook: the JSON object that the daemon passes on standard input, or a message for a chat (Slack,
# Mattermost, Rocket.Chat, Teams' workflows take {"text": ...}). It uses curl where it is, and wget where not.
#
#     event_hook:
#       command: [/usr/local/sbin/webhook.sh]
#       timeout_sec: 30
#
# The URL is often a secret, and arguments are seen by everybody on the host. So it is read from a file of root (mode 600).
set -eu

url_file=${URL_FILE:-/etc/reboot-coordinator/webhook-url}
# json: the object as it is. text: {"text": "web-1: committed: ..."}.
format=${FORMAT:-text}
# Events that nobody wants to hear of, with spaces between them, such as "back".
quiet=${QUIET:-}

case " $quiet " in
*" $RC_EVENT_NAME "*) exit 0 ;;
esac

url=$(cat "$url_file")
body=$(mktemp)
trap 'rm -f "$body" "$body.conf"' EXIT
if [ "$format" = json ]; then
    cat >"$body"
else
    # What JSON does not allow in a text is not there: control characters have become spaces.
    text=$(printf '%s' "$RC_EVENT_NODE: $RC_EVENT_NAME: $RC_EVENT_TEXT" | sed 's/\\/\\\\/g; s/"/\\"/g')
    printf '{"text": "%s"}\n' "$text" >"$body"
fi

if command -v curl >/dev/null; then
    (umask 077 && printf 'url = "%s"\n' "$url" >"$body.conf")
    curl --silent --show-error --fail --max-time 20 --output /dev/null --config "$body.conf" \
        --header 'Content-Type: application/json' --data-binary "@$body"
elif command -v wget >/dev/null; then
    (umask 077 && printf '%s\n' "$url" >"$body.conf")
    wget --quiet --timeout=20 --tries=1 --output-document=/dev/null --header='Content-Type: application/json' \
        --post-file="$body" --input-file="$body.conf"
else
    echo "there is neither curl nor wget; install one of them" >&2
    exit 1
fi
