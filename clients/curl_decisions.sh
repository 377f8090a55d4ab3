#!/bin/sh
# Ask with curl (7.76 or newer) how likely it is that something is true of an image. An answer that is an error is printed too, and the exit
# status tells.
# usage: clients/curl_decisions.sh IMAGE QUESTION
#        OPENAI_BASE_URL names the server; the default is http://127.0.0.1:8000/v1
set -eu
base=${OPENAI_BASE_URL:-http://127.0.0.1:8000/v1}
key="Authorization: Bearer ${OPENAI_API_KEY:-none}" # any word will do, unless the server was started with a key
ask() { curl -sS --fail-with-body -H "$key" "$@"; }
in_json() { # what stands between the quotes of a string
  printf '%s\n' "$1" | LC_ALL=C awk '
    BEGIN { for (i = 1; i < 32; i++) escaped[sprintf("%c", i)] = sprintf("\\u%04x", i); escaped["\""] = "\\\""; escaped["\\"] = "\\\\" }
    NR > 1 { printf "\\n" }
    { for (i = 1; i <= length($0); i++) { c = substr($0, i, 1); printf "%s", c in escaped ? escaped[c] : c } }'
}
models=$(ask "$base/models") || { status=$?; printf '%s\n' "$models"; exit "$status"; }
model=$(printf %s "$models" | sed 's/.*"id": *"\([^"]*\)".*/\1/')
# An image is too long for a command line: the body goes through a pipe. The server looks at the bytes, not at the media type.
{
  printf '{"model":"%s","input":[{"role":"user","content":[{"type":"input_image","image_url":"data:image/png;base64,' "$model"
  base64 <"$1" | tr -d '\n'
  printf '"}]}],"questions":[{"type":"predicate","instructions":"%s"}]}' "$(in_json "$2")"
} | ask "$base/decisions" -H 'Content-Type: application/json' --data-binary @- -w '\n'
