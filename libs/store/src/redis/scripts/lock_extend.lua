-- ARGV: run, now, name, owner, token, milliseconds
local key = '@lock@' .. ARGV[3]
if call('GET', key) ~= ARGV[5] .. ':' .. ARGV[4] then return 'lost' end
call('PEXPIRE', key, ARGV[6])
return 'held'
