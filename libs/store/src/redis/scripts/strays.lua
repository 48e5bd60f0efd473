-- A page of the registrations whose owner nobody knows. ARGV: run, now, cursor, how many keys to look at. Answers the next
-- cursor (0 at the end), and for each: connection, owner, cluster.
local page = call('SCAN', ARGV[3], 'MATCH', '@connections@*', 'COUNT', ARGV[4], 'TYPE', 'string')
local strays = {}
for _, key in ipairs(page[2]) do
  local owner, cluster = string.match(call('GET', key) or '', '^([^:]*):?(.*)$')
  if call('EXISTS', '@health@' .. owner) == 0 and not call('ZSCORE', '@nodes@' .. cluster, owner) then
    strays[#strays + 1] = {string.sub(key, #'@connections@' + 1), owner, cluster}
  end
end
return {page[1], strays}
