// Broken layouts, and what is said of them.

extension ConfigurationRefusalTests {
    /// A dataset of two key fields and two others, one of them optional.
    private static func held(_ text: String, _ message: String) -> Refusal {
        dataset(
            "held: {kind: declared, key: [account_id, symbol], "
                + "fields: {days: integer, note: \"text?\"}, \(text)}", message)
    }

    static let layouts = [
        held(
            "old: files, layout: [files]",
            "opsd.yaml:2:122: layout is a list, not a mapping; write 'key: value' under it"),
        held(
            "old: files, layout: {fles: {format: csv}}",
            "opsd.yaml:2:123: no store is called 'fles'; write files"),
        held(
            "old: files, layout: {hot: {key: \"a:{account_id}\", field: \"{symbol}\"}}",
            "opsd.yaml:2:123: dataset held does not use store hot; name it as old, new or also, or remove its layout"
        ),
        held(
            "old: files, layout: {files: {}}",
            "opsd.yaml:2:130: the layout of files says nothing; remove it"),
        held(
            "old: files, layout: {files: {key: \"a\", ttl: 1s}}",
            "opsd.yaml:2:131: key does not belong to a layout in a files store; remove it; the keys here are: path, format, value, fields, ignore\nopsd.yaml:2:141: ttl does not belong to a layout in a files store; remove it; the keys here are: path, format, value, fields, ignore"
        ),
        held(
            "old: files, layout: {files: {format: yaml}}",
            "opsd.yaml:2:139: format: 'yaml' is not known; the words here are: json, csv"),
        held(
            "old: files, layout: {files: {fields: [[days]]}}",
            "opsd.yaml:2:140: item 1 of fields is a list, not text; write text"),
        held(
            "old: files, layout: {files: {path: \"/srv/{account_id}.json\"}}",
            "opsd.yaml:2:137: path: '/srv/{account_id}.json' is no plain path within the store's folder; write one such as {account_id}/held.json, no part of it beginning with a dot"
        ),
        held(
            "old: files, layout: {files: {path: \"../{account_id}.json\"}}",
            "opsd.yaml:2:137: path: '../{account_id}.json' is no plain path within the store's folder; write one such as {account_id}/held.json, no part of it beginning with a dot"
        ),
        held(
            "old: files, layout: {files: {path: \".opsd/{account_id}.json\"}}",
            "opsd.yaml:2:137: path: '.opsd/{account_id}.json' is no plain path within the store's folder; write one such as {account_id}/held.json, no part of it beginning with a dot"
        ),
        held(
            "old: files, layout: {files: {path: \"{account_id/held.json\"}}",
            "opsd.yaml:2:137: path: '{account_id/held.json': a { without its }; write each field as {name}, with text between two of them"
        ),
        held(
            "old: files, layout: {files: {path: \"{days}/held.json\"}}",
            "opsd.yaml:2:137: path: {days} may change, and its row would have to move; the fields that never change are: account_id, symbol"
        ),
        held(
            "old: files, layout: {files: {path: \"{acount_id}/held.json\"}}",
            "opsd.yaml:2:137: path: held has no field 'acount_id'; write account_id"),
        held(
            "old: files, layout: {files: {path: \"{account_id}/{account_id}.json\"}}",
            "opsd.yaml:2:137: {account_id} stands twice in path; remove one of the two"),
        held(
            "old: files, layout: {files: {value: dayz}}",
            "opsd.yaml:2:138: value: 'dayz' is no field outside the key and the path; write days"),
        held(
            "old: files, layout: {files: {value: days, fields: [days]}}",
            "opsd.yaml:2:152: fields with a value of one field alone; remove one of the two"),
        held(
            "old: files, layout: {files: {path: \"held.csv\", format: csv, value: days}}",
            "opsd.yaml:2:169: value: a csv file has columns; remove it, or write format: json"),
        held(
            "old: files, layout: {files: {path: \"held.csv\", format: csv, ignore: [_date]}}",
            "opsd.yaml:2:170: ignore: only a json file of many rows has members that are none; remove it"
        ),
        held(
            "old: files, layout: {files: {path: \"{account_id}/{symbol}.json\", ignore: [_date]}}",
            "opsd.yaml:2:175: ignore: only a json file of many rows has members that are none; remove it"
        ),
        held(
            "old: files, layout: {files: {ignore: [_date, \"%41\"]}}",
            "opsd.yaml:2:139: ignore: '%41' is how a row may be called; name members that do not begin with %"
        ),
        held(
            "old: hot, layout: {hot: {key: \"h:{account_id}\", field: \"{symbol}\", ignore: [_date]}}",
            "opsd.yaml:2:169: ignore does not belong to a layout in a redis store; remove it; the keys here are: key, field, value, fields, ttl"
        ),
        held(
            "old: files, layout: {files: {fields: [dayz]}}",
            "opsd.yaml:2:140: fields: held has no field 'dayz'; write days"),
        held(
            "old: files, layout: {files: {fields: [days, symbol]}}",
            "opsd.yaml:2:146: fields: symbol tells the rows apart and is there already; remove it"),
        held(
            "old: files, layout: {files: {path: \"{account_id}/{symbol}.csv\", format: csv}}",
            "opsd.yaml:2:174: format: a csv file has many rows, and each of held would have a file of its own; write json, or a path without {symbol}"
        ),
        dataset(
            "balances: {old: files, layout: {files: {format: csv}}}",
            "opsd.yaml:2:60: format: a csv file has many rows, and each of balances would have a file of its own; write json, or a path without {account_id}"
        ),
        held(
            "old: hot, layout: {hot: {field: \"{symbol}\"}}",
            "opsd.yaml:2:126: the layout of hot lacks key; add 'key: \"held:{account_id}\"'"),
        held(
            "old: hot, layout: {hot: {key: \"held:{account_id}\"}}",
            "opsd.yaml:2:132: key and field leave out symbol, so that two rows of held would have one place; add {symbol}"
        ),
        held(
            "old: hot, layout: {hot: {key: \"held\"}}",
            "opsd.yaml:2:132: key and field leave out account_id, symbol, so that two rows of held would have one place; add {account_id} and {symbol}"
        ),
        held(
            "old: hot, layout: {hot: {key: \"held:{account_id}{symbol}\"}}",
            "opsd.yaml:2:132: key: 'held:{account_id}{symbol}': two fields without anything between them cannot be told apart; write each field as {name}, with text between two of them"
        ),
        held(
            "old: hot, layout: {hot: {key: \"held:{}\", field: \"{symbol}\"}}",
            "opsd.yaml:2:132: key: 'held:{}': a {} without a field's name; write each field as {name}, with text between two of them"
        ),
        held(
            "old: hot, layout: {hot: {key: \"held:account_id}\", field: \"{symbol}\"}}",
            "opsd.yaml:2:132: key: 'held:account_id}': a } without its {; write each field as {name}, with text between two of them"
        ),
        held(
            "old: hot, layout: {hot: {key: \"held:{account_id}:{sybmol}\"}}",
            "opsd.yaml:2:132: key: held has no field 'sybmol'; write symbol"),
        held(
            "old: hot, layout: {hot: {key: \"held:{account_id}:{days}\", field: \"{symbol}\"}}",
            "opsd.yaml:2:132: key: {days} may change, and its row would have to move; the fields that never change are: account_id, symbol"
        ),
        held(
            "old: hot, layout: {hot: {key: \"held:{account_id}\", field: \"{account_id}:{symbol}\"}}",
            "opsd.yaml:2:132: {account_id} stands twice in key and field; remove one of the two"),
        held(
            "old: hot, layout: {hot: {key: \"held:{account_id}:{symbol}\", field: all}}",
            "opsd.yaml:2:169: field: 'all' names no field of held; write one as {symbol}, or remove it"
        ),
        held(
            "old: hot, layout: {hot: {key: \"opsd:v:{account_id}\", field: \"{symbol}\"}}",
            "opsd.yaml:2:132: key: 'opsd:v:{account_id}' is opsd's own; begin it otherwise"),
        held(
            "old: hot, layout: {hot: {key: \"held:{account_id}\", field: \"{symbol}\", value: hash}}",
            "opsd.yaml:2:179: value: a hash for each row has no room for field; remove field, or write json"
        ),
        held(
            "old: hot, layout: {hot: {key: \"held:{account_id}\", field: \"{symbol}\", value: dais}}",
            "opsd.yaml:2:179: value: 'dais' is neither json, hash nor a field outside the key; write days"
        ),
        held(
            "old: hot, layout: {hot: {key: \"held:{account_id}\", field: \"{symbol}\", value: days, fields: [days]}}",
            "opsd.yaml:2:193: fields with a value of one field alone; remove it, or write value: json"
        ),
        held(
            "old: hot, layout: {hot: {key: \"held:{account_id}\", field: \"{symbol}\", fields: [symbol]}}",
            "opsd.yaml:2:181: fields: symbol tells the rows apart and is there already; remove it"),
        held(
            "old: hot, layout: {hot: {key: \"held:{account_id}\", field: \"{symbol}\", fields: {days: note_2, note: note_2}}}",
            "opsd.yaml:2:195: fields: days and note have one name there; give one of them another"),
        held(
            "old: hot, layout: {hot: {key: \"held:{account_id}\", field: \"{symbol}\", fields: []}}",
            "opsd.yaml:2:180: fields names no field; name one, or remove the key"),
        held(
            "old: hot, layout: {hot: {key: \"held:{account_id}\", field: \"{symbol}\", fields: days}}",
            "opsd.yaml:2:180: fields is a single value, not a list; write [first, second]"),
        held(
            "old: hot, layout: {hot: {key: \"held:{account_id}\", field: \"{symbol}\", ttl: 300s}}",
            "opsd.yaml:2:177: ttl: held is kept, and only a cache may vanish; remove it, or write kind: cache"
        ),
        held(
            "old: hot, layout: {hot: {key: \"held:{account_id}\", field: \"{symbol}\", tll: 300s}}",
            "opsd.yaml:2:172: unknown key 'tll' in hot; write ttl"),
        dataset(
            "seen: {kind: cache, key: [symbol], fields: {price: decimal}, old: hot, layout: {hot: {key: \"seen:{symbol}\", ttl: 300}}}",
            "opsd.yaml:2:125: ttl: '300' is not a duration; add the unit, as in 300s"),
        dataset(
            "tags: {kind: declared, key: [symbol], fields: {}, old: hot, layout: {hot: {key: \"t:{symbol}\", value: hash}}}",
            "opsd.yaml:2:113: value: a hash has at least one field; write json"),
        dataset(
            "notes: {kind: cache, key: [id], fields: {account_id: text}, old: hot, layout: {hot: {key: \"n:{account_id}\", field: \"{id}\", ttl: 1h}}}",
            "opsd.yaml:2:102: key: {account_id} is not of the dataset's key, which a ttl needs; remove {account_id} or ttl"
        ),
        dataset(
            "orders: {old: hot, layout: {hot: {key: \"acc:orders:{account_id}\", field: \"{order_id}\", ttl: 1h}}}",
            "opsd.yaml:2:104: ttl: orders is kept, and only a cache may vanish; remove it"),
        held(
            "old: record, layout: {record: {path: x, columns: {days: held}}}",
            "opsd.yaml:2:133: path does not belong to a layout in a postgres store; remove it; the keys here are: table, columns"
        ),
        held(
            "old: record, layout: {record: {table: a.b.c}}",
            "opsd.yaml:2:140: table: 'a.b.c' is not a table's name; write table or schema.table"),
        held(
            "old: local, layout: {local: {table: main.held}}",
            "opsd.yaml:2:138: table: 'main.held' is not a table's name; write it without a dot"),
        held(
            "old: record, layout: {record: {table: opsd.store}}",
            "opsd.yaml:2:140: table: 'opsd.store' is reserved; write another"),
        held(
            "old: record, layout: {record: {columns: [days]}}",
            "opsd.yaml:2:142: columns is a list, not a mapping; write 'key: value' under it"),
        held(
            "old: record, layout: {record: {columns: {dyas: held}}}",
            "opsd.yaml:2:143: columns: held has no field 'dyas'; write days"),
        held(
            "old: record, layout: {record: {columns: {days: symbol}}}",
            "opsd.yaml:2:143: columns: symbol and days have one name there; give one of them another"
        ),
        held(
            "old: local, layout: {local: {columns: {days: Symbol}}}",
            "opsd.yaml:2:141: columns: symbol and days have one name there; give one of them another"
        ),
        held(
            "old: record, layout: {record: {columns: {days: opsd_sequence}}}",
            "opsd.yaml:2:143: columns: names that begin with opsd_ are opsd's own; write another"),
        dataset(
            "balances: {old: record}, deals: {old: record, layout: {record: {table: balances}}}",
            "opsd.yaml:2:83: in store record, deals could lie where balances does (line 2); give one of them another table"
        ),
        dataset(
            "positions: {old: local}, deals: {old: local, layout: {local: {table: Positions}}}",
            "opsd.yaml:2:81: in store local, deals could lie where positions does (line 2); give one of them another table"
        ),
        dataset(
            "positions: {old: files, layout: {files: {path: \"{account_id}/p.json\"}}}, deals: {old: files, layout: {files: {path: \"{account_id}/{deal_id}.json\"}}}",
            "opsd.yaml:2:128: in store files, deals could lie where positions does (line 2); give one of them another path"
        ),
        dataset(
            "positions: {old: hot, layout: {hot: {key: \"a:{account_id}:{symbol}\"}}}, orders: {old: hot, layout: {hot: {key: \"a:orders:{order_id}\"}}}",
            "opsd.yaml:2:123: in store hot, orders could lie where positions does (line 2); give one of them another key"
        ),
        dataset(
            "positions: {old: hot, layout: {hot: {key: \"a:{account_id}\", field: \"{symbol}\"}}}, orders: {old: hot, layout: {hot: {key: \"a:{order_id}\"}}}",
            "opsd.yaml:2:133: in store hot, orders could lie where positions does (line 2); give one of them another key"
        ),
        dataset(
            "deals: {old: record}, trades: {kind: declared, key: [id], fields: {}, old: record}",
            "opsd.yaml:2:34: in store record, trades has no place: opsd makes the table trades for the dataset deals; give it another table"
        ),
        dataset(
            "users: {kind: declared, key: [id], fields: {}, old: record}",
            "opsd.yaml:2:12: in store record, users has no place: opsd makes the table users for another purpose; give it another table"
        ),
        held(
            "old: record, layout: {record: {table: public.approvals}}",
            "opsd.yaml:2:140: in store record, held has no place: opsd makes the table approvals for another purpose; give it another table"
        ),
        dataset(
            "held: {kind: declared, key: [id], fields: {}, old: record}, notes: {kind: declared, key: [id], fields: {}, old: record, layout: {record: {table: public.held}}}",
            "opsd.yaml:2:157: in store record, notes could lie where held does (line 2); give one of them another table"
        ),
        dataset(
            "positions: {old: files}, notes: {kind: declared, key: [account_id, name], fields: {}, old: files, layout: {files: {path: \"{account_id}/{name}.json\"}}}",
            "opsd.yaml:2:133: in store files, notes could lie where positions does (line 2); give one of them another path"
        ),
        dataset(
            "positions: {old: hot}, notes: {kind: declared, key: [account_id, name], fields: {}, old: hot, layout: {hot: {key: \"acc:{name}:{account_id}\"}}}",
            "opsd.yaml:2:126: in store hot, notes could lie where positions does (line 2); give one of them another key"
        ),
        dataset(
            "v: {kind: declared, key: [id], fields: {}, old: hot}",
            "opsd.yaml:2:12: in store hot, v has no place: layout of v: keys that begin with opsd:v: are opsd's own; give it another key"
        ),
        held(
            "old: hot, layout: {hot: {key: \"opsd:events\", field: \"{account_id}:{symbol}\"}}",
            "opsd.yaml:2:132: key: 'opsd:events' is opsd's own; begin it otherwise"
        ),
        held(
            "old: files, layout: {files: {format: csv, fields: {days: symbol}}}",
            "opsd.yaml:2:153: fields: symbol and days have one name there; give one of them another"
        ),
        held(
            "old: files, layout: {files: {path: \"{account_id}_{symbol}.json\"}}",
            "opsd.yaml:2:137: in store files, held has no place: '{account_id}_{symbol}.json' may become a name of 390 bytes, and 240 are the most: give each field a part of the path; give it another path"
        ),
    ]
}
