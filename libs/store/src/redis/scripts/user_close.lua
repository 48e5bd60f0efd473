-- Ends a user's stream, and keeps its client from resuming it. ARGV: run, now, connection. Answers the holder or ''.
local c = ARGV[3]
local meta = '@meta@' .. c
if call('EXISTS', meta) == 0 then return '' end
call('HSET', meta, 'closed', 1)
local holder = call('GET', '@connections@' .. c)
if not holder then return '' end
let_go(c, tonumber(call('HGET', meta, 'gen') or 0))
call('PUBLISH', '@channel@' .. pod_of(holder), 'C\t' .. c .. '\t' .. call('HGET', meta, 'gen'))
return holder
