// Broken `events`, broken checks of stores, and what is said of them.

extension ConfigurationRefusalTests {
    private static let head = """
        stores: {hot: {kind: redis, url: "redis://h"}, local: {kind: sqlite, path: data/a.sqlite}}
        datasets:
          deals: {old: hot, layout: {hot: {key: "deals:{account_id}", field: "{deal_id}"}}}
          last: {kind: cache, key: [symbol], fields: {price: decimal}, old: hot}
          seen: {kind: cache, key: [symbol], fields: {timestamp: timestamp}, old: local}

        """

    private static func after(_ text: String, _ says: String) -> Refusal {
        Refusal(head + text, says)
    }

    static let events = [
        after(
            "events: hot",
            "opsd.yaml:6:9: events is a single value, not a mapping; write 'key: value' under it"),
        after("events: {}", "opsd.yaml:6:9: events lacks store; add 'store: …'"),
        after("events: {store: hto}", "opsd.yaml:6:17: no store is called 'hto'; write hot"),
        after(
            "events: {store: local}",
            "opsd.yaml:6:17: store local is of kind sqlite, not redis; write hot"),
        after(
            "events: {store: hot, stream: \"a b\"}",
            "opsd.yaml:6:30: stream: 'a b' is no name of a stream; write up to 200 bytes without spaces, not beginning with opsd:, as in trading_events"
        ),
        after(
            "events: {store: hot, stream: \"opsd:store\"}",
            "opsd.yaml:6:30: stream: 'opsd:store' is no name of a stream; write up to 200 bytes without spaces, not beginning with opsd:, as in trading_events"
        ),
        after(
            "events: {store: hot, stream: \"deals:all\"}",
            "opsd.yaml:6:30: in store hot, deals could lie where the stream does; give the stream another name"
        ),
        after(
            "events: {store: hot, keep: 0}",
            "opsd.yaml:6:28: keep: 0 is out of range; write a number from 1 to 100000000"),
        after(
            "events: {store: hot, keeep: 5}",
            "opsd.yaml:6:22: unknown key 'keeep' in events; write keep"),
    ]

    static let storeChecks = [
        after(
            "health: [{name: x, store: hto}]",
            "opsd.yaml:6:27: no store is called 'hto'; write hot"),
        after(
            "health: [{name: x, store: local}]",
            "opsd.yaml:6:27: store local is of kind sqlite, not redis; write hot"),
        after(
            "health: [{name: x, store: hot, tcp: \"a:1\"}]",
            "opsd.yaml:6:10: the check has 2 probes: tcp, store; write exactly one of http, tcp, command, path, file, pid_file, service, store"
        ),
        after(
            "health: [{name: x, stream: s, backlog_from: 10}]",
            "opsd.yaml:6:10: the check asks nothing; write exactly one of http, tcp, command, path, file, pid_file, service, store\nopsd.yaml:6:20: stream belongs to a check with store; remove it, or add 'store: …'"
        ),
        after(
            "health: [{name: x, store: hot, stream: s}]",
            "opsd.yaml:6:10: a check with stream lacks backlog_from; add 'backlog_from: 1000'"),
        after(
            "health: [{name: x, store: hot, backlog_from: 10}]",
            "opsd.yaml:6:32: backlog_from belongs to a check with stream; remove it, or add 'stream: …'"
        ),
        after(
            "health: [{name: x, store: hot, stream: s, backlog_from: 0}]",
            "opsd.yaml:6:57: backlog_from: 0 is out of range; write a number from 1 to 1000000000"),
        after(
            "health: [{name: x, store: hot, dataset: last, stale_after: 30s, stale_from: 10}]",
            "opsd.yaml:6:41: dataset last has no field of type timestamp; add one that says how old a row is, as in 'timestamp: timestamp'"
        ),
        after(
            "health: [{name: x, store: hot, dataset: seen, stale_after: 30s, stale_from: 10}]",
            "opsd.yaml:6:41: dataset seen does not use store hot; name the store in it, or ask another"
        ),
        after(
            "health: [{name: x, store: hot, dataset: deal, stale_after: 30s, stale_from: 10}]",
            "opsd.yaml:6:41: no dataset is called 'deal'; write deals"),
        after(
            "health: [{name: x, store: hot, dataset: quotes, stale_after: 30s, stale_from: 10}]",
            "opsd.yaml:6:41: no dataset is called 'quotes'; add 'quotes: {old: hot}' to datasets"),
        after(
            "health: [{name: x, store: hot, dataset: deals}]",
            "opsd.yaml:6:10: a check with dataset lacks stale_after; add 'stale_after: 30s'\nopsd.yaml:6:10: a check with dataset lacks stale_from; add 'stale_from: 10'"
        ),
        after(
            "health: [{name: x, store: hot, stale_after: 30s}]",
            "opsd.yaml:6:32: stale_after belongs to a check with file; remove it, or add 'file: …'"),
        after(
            "health: [{name: x, store: hot, stream: s, backlog_from: 9, dataset: deals, stale_after: 1s, stale_from: 1}]",
            "opsd.yaml:6:10: the check has a stream and a dataset; make two checks of it"),
    ]
}
