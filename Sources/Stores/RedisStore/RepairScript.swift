/// The script that looks at the places of rows and puts something else there: the server carries it out with
/// nobody's commands in between, and compares bytes.
///
/// ARGV begins with: `look` or `replace`; `cell` where a key holds many rows, `hash` or `text` where it holds
/// one; the key of the index of keys, empty where there is none; what stands before the keys of stamps; a
/// time to live in milliseconds, empty for none. Then come the rows: key (empty where none is known), name in
/// the index, field. To replace, the image that is expected instead of the key, and what is to be there:
/// `row`, key, stamp, a count and so many fields and values, or texts; `nothing`; `image` and the image.
///
/// An image is `1`, `w` where it says something of a key with other rows as such, otherwise `-`, the
/// length of the key, a colon, the key, and MessagePack: the index's entry, then data and expiry of the key
/// and of its stamps. Data are `f` and a field's value, `s` and a text, `h` and all fields and values, `d` and
/// what DUMP gives; false for nothing.
enum RepairScript {
    static let text = """
        local mode, kind, index, prefix, life = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5]
        local call, at = redis.call, 5
        local function take() at = at + 1; return ARGV[at] end
        local function typed(key) return call('TYPE', key).ok end

        local function expiry(key)
          if call('PTTL', key) < 0 then return '' end
          local told = redis.pcall('PEXPIRETIME', key)
          -- Before Redis 7 there are only milliseconds to go, of a clock that goes on.
          while type(told) ~= 'number' do
            local before, left, after = call('TIME'), call('PTTL', key), call('TIME')
            local now = before[1] * 1000 + math.floor(before[2] / 1000)
            if now == after[1] * 1000 + math.floor(after[2] / 1000) then told = now + left end
          end
          return string.format('%.0f', told)
        end

        local function whole(key)
          local kind = typed(key)
          if kind == 'none' then return false end
          if kind == 'string' then return {'s', call('GET', key)} end
          if kind ~= 'hash' then return {'d', call('DUMP', key)} end
          local flat, names, values, all = call('HGETALL', key), {}, {}, {'h'}
          for i = 1, #flat, 2 do
            names[#names + 1] = flat[i]
            values[flat[i]] = flat[i + 1]
          end
          table.sort(names)
          for _, name in ipairs(names) do
            all[#all + 1] = name
            all[#all + 1] = values[name]
          end
          return all
        end

        local function part(key, field)
          local kind = typed(key)
          if kind == 'none' then return false end
          if kind ~= 'hash' then return whole(key) end
          local value = call('HGET', key, field)
          return value and {'f', value}
        end

        local function data(key, field)
          if kind == 'cell' then return part(key, field) end
          return whole(key)
        end

        local function isShared(what) return what and what[1] ~= 'f' end

        local function look(key, name, field)
          local entry = index ~= '' and call('HGET', index, name)
          local seen = {entry, false, '', false, ''}
          if key ~= '' then
            local stamps = prefix .. key
            seen = {entry, data(key, field), expiry(key), data(stamps, field), expiry(stamps)}
          end
          local shared = kind == 'cell' and (isShared(seen[2]) or seen[3] ~= ''
            or isShared(seen[4]) or seen[5] ~= '')
          local head = '1' .. (shared and 'w' or '-') .. #key .. ':' .. key
          return head .. cmsgpack.pack(seen), seen
        end

        local function opened(image)
          local length, start = string.match(image, '^1[-w](%d+):()')
          local rest = start + tonumber(length)
          return string.sub(image, start, rest - 1), cmsgpack.unpack(string.sub(image, rest))
        end

        if mode == 'look' then
          local images = {}
          while at < #ARGV do
            local key, name, field = take(), take(), take()
            images[#images + 1] = (look(key, name, field))
          end
          return images
        end

        -- Which rows lie there as expected.
        local rows, known, put = {}, {}, {}
        local function count(key, seen)
          if seen and seen[1] == 'f' then put[key] = (put[key] or 0) + 1 end
        end
        while at < #ARGV do
          local row = {expected = take(), name = take(), field = take(), content = take()}
          row.key = opened(row.expected)
          if row.content == 'row' then
            row.target, row.stamp, row.values = take(), take(), {}
            for i = 1, tonumber(take()) do row.values[i] = take() end
          elseif row.content == 'image' then
            row.target, row.image = opened(take())
          end
          local image, seen = look(row.key, row.name, row.field)
          row.wins = image == row.expected and not known[row.name]
          known[row.name] = true
          if row.wins and row.content ~= 'nothing' and row.target ~= row.key
            and row.target ~= '' then
            -- Somebody else's row in the place where this one is to go.
            row.wins = not data(row.target, row.field)
              and not data(prefix .. row.target, row.field)
          end
          if row.wins and row.content == 'image' then
            count(row.key, seen[2])
            count(prefix .. row.key, seen[4])
          end
          rows[#rows + 1] = row
        end

        -- What is said of a whole key comes back only where nothing else is in it by now.
        local function isAlone(key)
          return typed(key) ~= 'hash' or call('HLEN', key) == (put[key] or 0)
        end
        for _, row in ipairs(rows) do
          if row.wins and row.image and kind == 'cell' then
            local image = row.image
            if (isShared(image[2]) or image[3] ~= '') and not isAlone(row.target)
              or (isShared(image[4]) or image[5] ~= '') and not isAlone(prefix .. row.target) then
              row.spoiled = true
            end
          end
        end

        local function clear(key, wanted)
          local kind = typed(key)
          if kind ~= wanted and kind ~= 'none' then call('DEL', key) end
        end
        local function remove(key, field)
          if kind ~= 'cell' then call('DEL', key) return end
          clear(key, 'hash')
          call('HDEL', key, field)
        end
        local function note(name, key)
          if index == '' then return end
          if key then call('HSET', index, name, key) else call('HDEL', index, name) end
        end
        local function keep(key)
          if life == '' then call('PERSIST', key) else call('PEXPIRE', key, life) end
        end
        local function give(key, field, what, expires)
          if what and what[1] == 'f' then
            clear(key, 'hash')
            call('HSET', key, field, what[2])
          elseif what and what[1] == 's' then
            call('SET', key, what[2])
          elseif what and what[1] == 'd' then
            call('RESTORE', key, 0, what[2], 'REPLACE')
          elseif what then
            call('DEL', key)
            for i = 2, #what, 2 do call('HSET', key, what[i], what[i + 1]) end
          end
          if expires ~= '' then call('PEXPIREAT', key, expires) end
        end

        for _, row in ipairs(rows) do
          if row.wins and not row.spoiled then
            local stamps = prefix .. row.key
            if row.key ~= '' and (row.content ~= 'row' or row.target ~= row.key) then
              remove(row.key, row.field)
              remove(stamps, row.field)
            end
            if row.content == 'row' then
              local key, stamps = row.target, prefix .. row.target
              if kind == 'text' then
                call('SET', key, row.values[1])
              else
                clear(key, 'hash')
                for i = 1, #row.values, 2 do
                  call('HSET', key, row.values[i], row.values[i + 1])
                end
              end
              clear(stamps, 'hash')
              call('HSET', stamps, row.field, row.stamp)
              keep(key)
              keep(stamps)
              note(row.name, key)
              row.key = key
            elseif row.content == 'nothing' then
              note(row.name, false)
              if index ~= '' then row.key = '' end
            else
              if row.target ~= '' then
                give(row.target, row.field, row.image[2], row.image[3])
                give(prefix .. row.target, row.field, row.image[4], row.image[5])
              end
              note(row.name, row.image[1])
              row.key = row.target
            end
          end
        end

        local images = {}
        for i, row in ipairs(rows) do
          images[i] = row.wins and not row.spoiled and (look(row.key, row.name, row.field))
        end
        return images
        """
}
