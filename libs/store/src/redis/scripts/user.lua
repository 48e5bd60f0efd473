-- What is known of a user's stream. ARGV: run, now, connection. Answers the holder or '', then epoch and end of its log
-- or '' and 0.
local holder = call('GET', '@connections@' .. ARGV[3]) or ''
local meta = call('HMGET', '@meta@' .. ARGV[3], 'run', 'epoch', 'off')
if meta[1] ~= RUN then return {holder, '', '0'} end
return {holder, meta[2], meta[3]}
