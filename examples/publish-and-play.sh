#!/usr/bin/env bash
# A publisher and a viewer by hand: an app's backend asks control for a place, its client goes there with the token.
# Shows: POST /v1/push and /v1/pull, WHIP, the node's offer to a viewer, ending sessions. Needs curl and jq.
#
#   CONTROL=http://127.0.0.1:7080 APP_KEY=... examples/publish-and-play.sh offer.sdp
#
# offer.sdp is what a WebRTC client offers, such as OBS or a browser's createOffer().
set -euo pipefail
offer=$1
stream=${STREAM:-live/by-hand}

# The backend, which alone knows the app key.
place() {
  curl -fsS -H "Authorization: Bearer $APP_KEY" -H 'Content-Type: application/json' \
    -d "$(jq -n --arg stream "$stream" '{stream: $stream, user: "anna"}')" "$CONTROL/v1/$1"
}

# The publisher: WHIP at the URL of its place. Location is the session, relative to that URL (RFC 3986, section 5.2); curl takes out the `..`.
push=$(place push)
url=$(jq -r .url <<<"$push")
answer=$(curl -fsS -i -H "Authorization: Bearer $(jq -r .token <<<"$push")" -H 'Content-Type: application/sdp' \
  --data-binary "@$offer" "$url")
session=${url%/*}/$(sed -n 's/^[Ll]ocation: \([^\r]*\).*/\1/p' <<<"$answer")
echo "published $stream at $(jq -r .node <<<"$push")"

# What control knows of it.
curl -fsS -H "Authorization: Bearer $APP_KEY" "$CONTROL/v1/streams/$stream" | jq '{stream, origin, tracks: [.tracks[].codec.mimeType]}'

# The viewer: the node offers, and waits half a minute for the answer of the viewer's WebRTC stack (POST /signaling/sendanswer).
pull=$(place pull)
offered=$(jq -n --arg stream "$stream" --arg token "$(jq -r .token <<<"$pull")" '{stream: $stream, token: $token}' |
  curl -fsS -H 'Content-Type: application/json' -d @- "$(jq -r .signaling <<<"$pull")/signaling/pull")
echo "the node offers a viewer: $(jq -r .sdp <<<"$offered" | grep -c '^m=') tracks"

# Both end.
jq '{session}' <<<"$offered" | curl -fsS -H 'Content-Type: application/json' -d @- "$(jq -r .signaling <<<"$pull")/signaling/stop" >/dev/null
curl -fsS -X DELETE "$session"
echo "ended"
