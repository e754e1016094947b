// Broken `verify`, and what is said of it. Each text stands behind `head`, in line 10.

extension ConfigurationRefusalTests {
    private static func check(_ text: String, _ says: String...) -> Refusal {
        Refusal(
            VerifyConfigurationTests.head + "verify: [{name: a, \(text)}]",
            says.map { "opsd.yaml:10:\($0)" }.joined(separator: "\n"))
    }

    private static func checks(_ text: String, _ says: String...) -> Refusal {
        Refusal(
            VerifyConfigurationTests.head + "verify: [\(text)]",
            says.map { "opsd.yaml:10:\($0)" }.joined(separator: "\n"))
    }

    private static let pair =
        "left: {store: record, table: a}, right: {store: hot, dataset: positions}"

    static let verify = [
        check(
            "dataset: position",
            "29: no dataset is called 'position'; write positions"),
        check(
            "dataset: orders",
            "29: dataset orders is in no store; add 'datasets: {orders: {old: …}}', or remove the check"
        ),
        check(
            "dataset: seen",
            "29: dataset seen is a cache, whose rows are not journaled; remove the check"),
        check(
            "every: 1h",
            "10: the check compares nothing; add 'dataset: …', or 'left: {store: …, table: …}' and 'right: …'"
        ),
        check(
            "dataset: deals, \(pair)",
            "10: the check has both dataset and left; write one of the two"),
        check(
            "dataset: deals, follw: true",
            "36: unknown key 'follw' in item 1 of verify; write follow"),
        check(
            "dataset: deals, every: 500ms", "43: every: 500ms is too short; write at least 1s"),
        check(
            "dataset: deals, full: \"0 25 * * *\"",
            "42: full: '0 25 * * *', character 3: hour: there is no '25'; write 0 to 23"),
        check(
            "dataset: deals, repair: always",
            "44: repair: 'always' is not known; the words here are: none, plan, auto"),
        check(
            "dataset: deals, conflict: store",
            "46: conflict: store, and only the trading core says what deals are; write journal or review"
        ),
        check(
            "dataset: deals, budget: {ratio: 1.5}",
            "52: ratio: 1.5 is more than all rows; write a number from 0 to 1, as in 0.01"),
        check(
            "dataset: deals, budget: {rows: -1}",
            "51: rows: -1 is out of range; write a number from 0 to 100000"),
        check(
            "dataset: deals, keys: [symbol]",
            "36: keys belongs to a check of two stores; remove it"),
        check(
            "\(pair), follow: true", "94: follow belongs to a check of a dataset; remove it"),
        check(
            "\(pair), repair: auto",
            "102: repair: auto, and nobody journals these rows; write none: only a dataset can be put right"
        ),
        check(
            "\(pair), every: 1h, full: \"0 3 * * *\"",
            "101: a has both every and full; remove one of the two: a pair is compared whole each time"
        ),
        check(
            "left: {store: record, table: a}",
            "10: the check lacks right; add 'right: {store: …, table: …}'"),
        check(
            "left: {store: record, table: a}, right: {store: record, table: a}",
            "60: left and right are the same; name another store, or table"),
        check(
            "left: {store: recrd, table: a}, right: {store: hot, dataset: positions}",
            "34: no store is called 'recrd'; write record"),
        check(
            "left: {store: hot, table: a}, right: {store: hot, dataset: positions}",
            "46: store hot is of kind redis: it has no tables; write 'dataset: …', and how its rows lie there under datasets"
        ),
        check(
            "left: {store: record, dataset: deals}, right: {store: hot, dataset: positions}",
            "51: no dataset in store record is called 'deals'; the datasets there are: positions"),
        check(
            "left: {store: record}, right: {store: hot, dataset: positions}",
            "26: left names no rows; write one of 'dataset: …' and 'table: …'"),
        check(
            "\(pair), keys: [acount_id]",
            "101: dataset positions has no field 'acount_id'; write account_id"),
        check(
            "\(pair), keys: [symbol], fields: [symbol]",
            "119: symbol is named twice in keys, fields and ignore; remove one of the two"),
        check(
            "\(pair), tolerance: {cost: some}",
            "112: cost: 'some' is not a duration; write a number and one of ms, s, m, h, d, as in 30s"
        ),
        check(
            "\(pair), keys: [symbol], tolerance: {symbol: 1}",
            "122: symbol tells rows apart, so it cannot be about the same; remove it here"),
        checks(
            "{name: a, dataset: deals}, {name: a, dataset: positions}",
            "44: check a is listed twice; give one of the two another name"),
        checks(
            "{name: a, dataset: deals}, {name: b, dataset: deals}",
            "44: dataset deals is compared by check a already; remove one of the two"),
        checks(
            "{name: positions, dataset: deals}",
            "17: positions is the name of a dataset that the check does not compare; give the check another name"
        ),
        Refusal(
            VerifyConfigurationTests.head
                + "verify: [{name: a, dataset: deals}]\nservices: {core: {builtin: core}, verify: {command: [x]}}",
            "opsd.yaml:10:17: a check needs the built-in service, and a service verify is another one; give that service another name, or add 'verifier: {builtin: verify}'"
        ),
        Refusal(
            VerifyConfigurationTests.head
                + "verify: [{name: a, dataset: deals, full: \"0 3 * * *\"}]\njobs: [{name: verify-a, command: [x], every: 1h}]",
            "opsd.yaml:10:17: there is a job verify-a already; give the check or the job another name"
        ),
    ]
}
