-- Deletes a registration, if it is still this pod's of this generation. ARGV: run, now, connection, pod, generation
local c = ARGV[3]
local holder = call('GET', '@connections@' .. c)
if not holder or pod_of(holder) ~= ARGV[4] or call('HGET', '@meta@' .. c, 'gen') ~= ARGV[5] then return 'kept' end
let_go(c, tonumber(ARGV[5]))
return 'deleted'
