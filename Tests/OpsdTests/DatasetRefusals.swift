// Broken datasets, and what is said of them.

extension ConfigurationRefusalTests {
    /// The stores that the datasets here may name, in the first line.
    private static let desk =
        "stores: {files: {kind: files, path: data/files}, "
        + "hot: {kind: redis, url: \"redis://h/0\"}, "
        + "record: {kind: postgres, url: \"postgres://u@h/d\"}, "
        + "local: {kind: sqlite, path: data/l.sqlite}}\n"

    static func dataset(_ text: String, _ message: String) -> Refusal {
        Refusal(desk + "datasets: {\(text)}", message)
    }

    static let datasets = [
        Refusal(
            desk + "datasets: [positions]",
            "opsd.yaml:2:11: datasets is a list, not a mapping; write 'key: value' under it"),
        dataset(
            "positions: files",
            "opsd.yaml:2:23: positions is a single value, not a mapping; write 'key: value' under it"
        ),
        dataset(
            "positions: {}",
            "opsd.yaml:2:23: dataset positions names no store; add 'old: …', or remove it"),
        dataset(
            "positions: {old: fils}",
            "opsd.yaml:2:29: no store is called 'fils'; write files"),
        dataset(
            "positions: {old: [files]}",
            "opsd.yaml:2:29: old is a list, not text; write text"),
        dataset(
            "positions: {old: files, new: files}",
            "opsd.yaml:2:41: store files is named twice in positions; name another, or remove one of the two"
        ),
        dataset(
            "positions: {old: files, new: hot, also: [record, hot]}",
            "opsd.yaml:2:61: store hot is named twice in positions; name another, or remove one of the two"
        ),
        dataset(
            "positions: {old: files, also: [cold]}",
            "opsd.yaml:2:43: no store is called 'cold'; the stores are: files, hot, record, local"),
        dataset(
            "positions: {old: files, also: record}",
            "opsd.yaml:2:42: also is a single value, not a list; write [first, second]"),
        dataset(
            "positions: {new: hot}",
            "opsd.yaml:2:29: dataset positions has a new store and no old one; add 'old: …', or write old instead of new"
        ),
        dataset(
            "positions: {old: files, read: new}",
            "opsd.yaml:2:42: read: new, and positions has no new store; add 'new: …', or remove read"
        ),
        dataset(
            "positions: {also: [files], read: old}",
            "opsd.yaml:2:45: read: old, and positions has no old store; add 'old: …', or remove read"
        ),
        dataset(
            "positions: {old: files, new: hot, read: both}",
            "opsd.yaml:2:52: read: 'both' is not known; the words here are: old, new"),
        dataset(
            "positions: {old: files, new: hot, read: new, fallback: new}",
            "opsd.yaml:2:67: fallback is what is read already; write old"),
        dataset(
            "positions: {old: files, new: hot, fallback: old}",
            "opsd.yaml:2:56: fallback without read; add 'read: …', or remove it"),
        dataset(
            "positions: {old: files, read: old, fallback: new}",
            "opsd.yaml:2:57: fallback: new, and positions has no new store; add 'new: …', or remove fallback"
        ),
        dataset(
            "positions: {old: files, reads: old}",
            "opsd.yaml:2:36: unknown key 'reads' in positions; write read"),
        dataset(
            "positions: {kind: derived, old: files}",
            "opsd.yaml:2:24: dataset positions is the trading core's, which sets kind itself; remove kind, or give the dataset another name"
        ),
        dataset(
            "positions: {key: [account_id], fields: {qty: decimal}, old: files}",
            "opsd.yaml:2:24: dataset positions is the trading core's, which sets key itself; remove key, or give the dataset another name\nopsd.yaml:2:43: dataset positions is the trading core's, which sets fields itself; remove fields, or give the dataset another name"
        ),
        dataset(
            "positions: {on_failure: roll_back, old: files}",
            "opsd.yaml:2:24: dataset positions is the trading core's, which sets on_failure itself; remove on_failure, or give the dataset another name"
        ),
        dataset(
            "postions: {old: files}",
            "opsd.yaml:2:12: no dataset is called 'postions'; write positions"),
        dataset(
            "held: {old: files}",
            "opsd.yaml:2:12: no dataset is called 'held'; add kind, key and fields to declare it"),
        dataset(
            "held: {kind: declared, old: files}",
            "opsd.yaml:2:18: dataset held lacks key; add 'key: [account_id]'\nopsd.yaml:2:18: dataset held lacks fields; add 'fields: {name: text}'"
        ),
        dataset(
            "Held: {kind: declared, key: [account_id], fields: {}, old: files}",
            "opsd.yaml:2:12: 'Held' is not the name of a dataset; write 1 to 60 of a to z, 0 to 9 and '_', a letter first, and not opsd_ or sqlite_"
        ),
        dataset(
            "held: {kind: fact, key: [account_id], fields: {}, old: files}",
            "opsd.yaml:2:25: kind: fact is for what the trading core writes; write declared or cache"
        ),
        dataset(
            "held: {kind: cached, key: [account_id], fields: {}, old: files}",
            "opsd.yaml:2:25: kind: 'cached' is not known; write cache"),
        dataset(
            "held: {kind: declared, key: [], fields: {}, old: files}",
            "opsd.yaml:2:40: key names no field; write key: [account_id]"),
        dataset(
            "held: {kind: declared, key: account_id, fields: {}, old: files}",
            "opsd.yaml:2:40: key is a single value, not a list; write [first, second]"),
        dataset(
            "held: {kind: declared, key: {account_id: text, day: \"integer?\"}, fields: {}, old: files}",
            "opsd.yaml:2:59: key: day cannot be optional; write integer"),
        dataset(
            "held: {kind: declared, key: {what: json}, fields: {}, old: files}",
            "opsd.yaml:2:41: key: what cannot be json; write text, or make it one of the fields"),
        dataset(
            "held: {kind: declared, key: [symbol, symbol], fields: {}, old: files}",
            "opsd.yaml:2:49: field symbol is already there in line 2; remove one of the two"),
        dataset(
            "held: {kind: declared, key: [symbol], fields: {symbol: text}, old: files}",
            "opsd.yaml:2:59: field symbol is already there in line 2; remove one of the two"),
        dataset(
            "held: {kind: declared, key: [symbol], fields: [days], old: files}",
            "opsd.yaml:2:58: fields is a list, not a mapping; write 'key: value' under it"),
        dataset(
            "held: {kind: declared, key: [symbol], fields: {days: integr}, old: files}",
            "opsd.yaml:2:65: days: 'integr' is not a type; write integer"),
        dataset(
            "held: {kind: declared, key: [symbol], fields: {days: float}, old: files}",
            "opsd.yaml:2:65: days: 'float' is not a type; the types are: text, integer, decimal, timestamp, boolean, json"
        ),
        dataset(
            "held: {kind: declared, key: [symbol], fields: {opsd_days: integer}, old: files}",
            "opsd.yaml:2:59: 'opsd_days' is not the name of a field; write 1 to 60 of a to z, 0 to 9 and '_', a letter first, and not opsd_ or sqlite_"
        ),
        dataset(
            "held: {kind: declared, key: {account_id: integer}, fields: {}, old: files}",
            "opsd.yaml:2:41: account_id is the account that a row belongs to; write text"),
        dataset(
            "held: {kind: declared, key: [symbol], fields: {account_id: \"text?\"}, old: files}",
            "opsd.yaml:2:59: account_id is the account that a row belongs to; write text"),
        dataset(
            "held: {kind: declared, key: [symbol], fields: {}, on_failure: rollback, old: files}",
            "opsd.yaml:2:74: on_failure: 'rollback' is not known; write roll_back"),
        dataset(
            "quotes: {kind: cache, key: [symbol], old: hot}",
            "opsd.yaml:2:34: dataset quotes is a cache of opsd's own, which sets key itself; remove key, or give the dataset another name"
        ),
        dataset(
            "quotes: {kind: declared, old: hot}",
            "opsd.yaml:2:27: dataset quotes is a cache; write cache, or remove kind"),
        dataset(
            "quotes: {old: files}",
            "opsd.yaml:2:26: store files is of kind files, not redis; write hot"),
        dataset(
            "quotes: {old: cold}",
            "opsd.yaml:2:26: no store is called 'cold'; the stores are: files, hot, record, local"),
        dataset(
            "quotes: {old: hot, also: [record]}",
            "opsd.yaml:2:31: dataset quotes is a cache, which lies in one store; remove also, and name the store as old"
        ),
        dataset(
            "bars: {kind: cache}",
            "opsd.yaml:2:18: dataset bars names no store; add 'old: …', or remove it"),
        dataset(
            "seen: {kind: cache, key: [symbol], fields: {}, on_failure: roll_back, old: hot}",
            "opsd.yaml:2:71: on_failure is for what is kept, and a cache's rows are dropped; remove it"
        ),
    ]
}
