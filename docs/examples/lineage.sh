#!/bin/sh
# usage: lineage.sh NODE GENESIS ARTIFACT        for example http://127.0.0.1:9944 0x2f0b… 0x90c7…
set -eu
node=$1 genesis=$2 artifact=$3

rpc() { # METHOD PARAMETERS
	answer=$(curl -sS --fail -H 'content-type: application/json' "$node" \
		-d '{"jsonrpc":"2.0","id":1,"method":"'"$1"'","params":['"$2"']}')
	case $answer in
		*'"error":'*)
			printf '%s\n' "$answer" >&2
			exit 1
			;;
	esac
}

# All pages as of one block, newest record first. What a node lists is its word.
rpc chain_getFinalizedHead ''
block=$(printf '%s' "$answer" | sed -n 's/.*"result":\("0x[0-9a-f]*"\).*/\1/p')
cursor=null
while [ -n "$cursor" ]; do
	rpc provenance_lineage "\"$artifact\",$cursor,null,$block"
	printf '%s\n' "$answer"
	before=$cursor
	cursor=$(printf '%s' "$answer" | sed -n 's/.*"next":\([0-9]*\).*/\1/p')
	# It only goes back. A node that says otherwise would be asked for ever.
	[ -z "$cursor" ] || [ "$before" = null ] || [ "$cursor" -lt "$before" ] || exit 1
done

# Of this answer only the bundle is needed: what it says is proved, against nothing but the genesis hash.
rpc provenance_prove "\"$artifact\""
printf '%s' "$answer" | sed -n 's/.*"bundle":"\(0x[0-9a-f]*\)".*/\1/p' |
	cairn verify - --genesis "$genesis" --artifact "$artifact"
