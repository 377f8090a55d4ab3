#!/bin/sh
# Ask about a picture with curl.
# usage: clients/curl.sh PICTURE QUESTION
#        OPENAI_BASE_URL names the server; the default is http://127.0.0.1:8000/v1
set -eu
base=${OPENAI_BASE_URL:-http://127.0.0.1:8000/v1}
key="Authorization: Bearer ${OPENAI_API_KEY:-none}" # any word will do, unless the server was started with a key
model=$(curl -sS "$base/models" -H "$key" | sed 's/.*"id":"\([^"]*\)".*/\1/')
# A picture is too long for a command line: the body goes through a pipe. The server looks at the bytes, not at the media type.
{
  printf '{"model":"%s","max_tokens":100,"messages":[{"role":"user","content":[' "$model"
  printf '{"type":"image_url","image_url":{"url":"data:image/png;base64,'
  base64 <"$1" | tr -d '\n'
  printf '"}},{"type":"text","text":"%s"}]}]}' "$(printf %s "$2" | sed 's/[\\"]/\\&/g')"
} | curl -sS "$base/chat/completions" -H "$key" -H 'Content-Type: application/json' --data-binary @-
echo
