import ExactJSON
import Foundation
import TestSupport
import Testing

/// A desk whose configuration names a folder in which another program keeps its files, a Redis and a
/// PostgreSQL to which they are to go.
struct MigrationDesk {
    let desk: Desk
    let redis: RedisServer
    let postgres: PostgresServer
    let database: String
    /// Where the strategy's files are: in memory, since ten thousand of them are flushed.
    let files: String

    /// A strategy's files: for each account the days that it holds something, its highest prices, and its
    /// deals, a file a day.
    static let writer = """
        import csv, datetime, json, os, sys
        root, accounts, days, deals = sys.argv[1], *map(int, sys.argv[2:])
        first = datetime.date(2026, 1, 1)
        for a in range(accounts):
            account = f"QMT_{a:03}"
            os.makedirs(f"{root}/{account}/deals", exist_ok=True)
            codes = [f"{600000 + (a * 7 + n) % 300:06}.SH" for n in range(10)]
            with open(f"{root}/{account}/held_days.json", "w") as file:
                held = {code: n + 1 for n, code in enumerate(codes)}
                json.dump({"_inc_date": "2026-01-02", **held}, file, indent=4)
            with open(f"{root}/{account}/max_price.json", "w") as file:
                json.dump({code: round(10 + n * 0.37 + a / 100, 2) for n, code in enumerate(codes)}, file)
            for d in range(days):
                day = (first + datetime.timedelta(days=d)).strftime("%Y%m%d")
                with open(f"{root}/{account}/deals/{day}.csv", "w", newline="") as file:
                    out = csv.writer(file)
                    out.writerow(["deal_id", "time", "code", "type", "price", "volume"])
                    for n in range(deals):
                        out.writerow([f"{day}-{n}", f"{day[:4]}-{day[4:6]}-{day[6:]} 09:3{n}:00",
                            codes[(d + n) % 10], "BUY" if n % 2 else "SELL", f"{10 + d / 10 + n:.2f}",
                            100 * (n + 1)])
        """

    /// Past opsd: what the files have, and what a program finds in Redis and PostgreSQL.
    static let reader = """
        import csv, datetime, decimal, glob, json, os, redis, subprocess, sys
        root, port, psql, url = sys.argv[1:]
        number = lambda text: format(decimal.Decimal(str(text)).normalize(), "f")
        files, hot = {"held": {}, "deals": {}}, {"held": {}, "deals": {}}
        for path in glob.glob(f"{root}/*/held_days.json"):
            account = path.split("/")[-2]
            for code, days in json.load(open(path)).items():
                if code == "_inc_date": continue
                files["held"][(account, code)] = str(days)
        for path in glob.glob(f"{root}/*/deals/*.csv"):
            account, day = path.split("/")[-3], path.split("/")[-1][:-4]
            for row in csv.DictReader(open(path, newline="")):
                time = row["time"].replace(" ", "T").rstrip("Z") + "Z"
                files["deals"][(account, day, row["deal_id"])] = (
                    time, row["code"], row["type"], number(row["price"]), row["volume"])
        client = redis.Redis(port=int(port), decode_responses=True)
        for key in client.scan_iter("acc:held:*", count=1000):
            for code, days in client.hgetall(key).items():
                hot["held"][(key.split(":")[2], code)] = days
        keys = list(client.scan_iter("acc:deals:*", count=1000))
        pipe = client.pipeline(transaction=False)
        for key in keys: pipe.hgetall(key)
        for key, rows in zip(keys, pipe.execute()):
            _, _, account, day = key.split(":")
            for deal, text in rows.items():
                row = json.loads(text)
                hot["deals"][(account, day, deal)] = (
                    row["time"], row["code"], row["type"], number(row["price"]), str(row["volume"]))
        def table(sql):
            out = subprocess.run([psql, "-XqAt", "-F", ",", "-c", sql, url], capture_output=True,
                text=True, check=True).stdout
            return list(csv.reader(out.splitlines()))
        record = {
            "held": {(a, c): d for a, c, d in table("SELECT account_id, symbol, days FROM held_days")},
            "deals": {(a, d, i): (t, c, k, number(p), v) for a, d, i, t, c, k, p, v in table(
                "SELECT account_id, day, deal_id, to_char(time AT TIME ZONE 'UTC', "
                "'YYYY-MM-DD\\"T\\"HH24:MI:SS\\"Z\\"'), code, type, price, volume FROM deal_hist")}}
        for name in files:
            print(name, len(files[name]), "redis", files[name] == hot[name],
                "postgres", files[name] == record[name])
        """

    private static func sections(_ redis: Int, _ url: String, _ files: String) -> String {
        """

        stores:
          files: {kind: files, path: \(files)}
          hot: {kind: redis, url: "redis://127.0.0.1:\(redis)/0"}
          record: {kind: postgres, url: "\(url)"}
        datasets:
          held_days:
            kind: declared
            key: [account_id, symbol]
            fields: {days: integer}
            old: files
            new: hot
            also: [record]
            layout:
              files: {path: "{account_id}/held_days.json", value: days, ignore: [_inc_date]}
              hot: {key: "acc:held:{account_id}", field: "{symbol}", value: days}
          max_prices:
            kind: declared
            key: [account_id, symbol]
            fields: {price: decimal}
            old: files
            new: hot
            layout: {files: {path: "{account_id}/max_price.json", value: price}}
          deal_hist:
            kind: declared
            key: [account_id, day, deal_id]
            fields: {time: timestamp, code: text, type: text, price: decimal, volume: integer}
            old: files
            new: record
            also: [hot]
            layout:
              files: {path: "{account_id}/deals/{day}.csv", format: csv}
              hot: {key: "acc:deals:{account_id}:{day}", field: "{deal_id}"}
          articles:
            kind: declared
            key: [account_id, article]
            fields: {body: text}
            old: files
            new: hot
            layout: {files: {path: "{account_id}/articles.json", value: body}}
          positions: {old: files, new: hot}

        """
    }

    /// - Parameters:
    ///   - accounts: each with two files, and one for each of so many days.
    ///   - deals: in each of those.
    ///   - articles: writes what lies beside them in the folder before opsd sees it.
    static func run(
        accounts: Int, days: Int, deals: Int, articles: (String) throws -> Void = { _ in },
        _ body: (MigrationDesk) async throws -> Void
    ) async throws {
        let redis = try await RedisServer()
        let postgres = try await PostgresServer.shared()
        let database = try await postgres.makeDatabase()
        let memory = FileManager.default.isWritableFile(atPath: "/dev/shm") ? "/dev/shm" : "/tmp"
        let files = "\(memory)/opsd-strategy-\(UUID().uuidString)"
        defer { try? FileManager.default.removeItem(atPath: files) }
        let settings = DeskSettings(
            accounts: 1, sections: sections(redis.port, postgres.url(database), files))
        try await Desk.run(settings, starts: false) { desk in
            let written = try await Desk.command(
                ["python3", "-c", writer, files, "\(accounts)", "\(days)", "\(deals)"],
                in: desk.directory, program: "/usr/bin/env")
            #expect(written.code == 0, "\(written)")
            try articles(files)
            // In Redis too somebody has had a row of his own.
            let set = try await Desk.command(
                ["redis-cli", "-p", "\(redis.port)", "HSET", "acc:held:QMT_000", "OTHER", "5"],
                in: desk.directory, program: "/usr/bin/env")
            #expect(set.code == 0, "\(set)")
            try await desk.start()
            try await desk.waitUntilReady()
            try await body(
                MigrationDesk(
                    desk: desk, redis: redis, postgres: postgres, database: database, files: files))
        }
    }

    // MARK: - The command

    func arguments(_ words: [String], wait: Int = 20) -> [String] {
        ["migrate"] + words
            + ["--operator", "lin", "--wait", "\(wait)", "-c", desk.configurationFile]
    }

    func migrate(_ words: String...) async throws -> Desk.Outcome { try await migrate(words) }

    /// - Parameter wait: for a core or a store that is away, in seconds.
    func migrate(
        _ words: [String], _ more: String..., wait: Int = 20
    ) async throws -> Desk.Outcome {
        try await Desk.command(
            arguments(words + more, wait: wait), in: desk.directory, within: .seconds(120))
    }

    /// What a migration would journal: what of the source the core does not have.
    func missing(_ dataset: String, to store: String) async throws -> Int? {
        let dry = try await migrate(
            "--dataset", dataset, "--from", "files", "--to", store, "--dry-run", "--json")
        #expect(dry.code == 0, "\(dry)")
        return dry.documents.last??["rows_journaled"]?.integer
    }

    /// What redis-cli prints.
    func redis(_ words: String...) async throws -> String {
        let outcome = try await Desk.command(
            ["redis-cli", "-p", "\(redis.port)"] + words, in: desk.directory,
            program: "/usr/bin/env")
        #expect(outcome.code == 0, "\(outcome)")
        return outcome.output
    }

    /// One that goes on while the test does something else.
    func start(_ words: [String], as name: String) throws -> ChildProcess {
        try ChildProcess.start(
            Desk.program, arguments(words), in: desk.directory.path,
            output: desk.directory.path(name + ".out"), errors: desk.directory.path(name + ".err"))
    }

    /// The newest migration's own record.
    func state() -> JSONValue? {
        let root = desk.data + "/migrations"
        let names = (try? FileManager.default.contentsOfDirectory(atPath: root)) ?? []
        guard let newest = names.sorted().last,
            let bytes = FileManager.default.contents(atPath: "\(root)/\(newest)/state.json")
        else { return nil }
        return try? JSONValue(parsing: Array(bytes))
    }

    func untilRead(_ rows: Int) async throws {
        try await eventually("\(rows) rows are read", within: .seconds(60)) {
            (state()?["counts"]?["read"]?.integer ?? 0) >= rows
        }
    }

    // MARK: - What is there

    /// Files of large texts, beside those of the strategy.
    static func writeArticles(
        _ count: Int, body: String, further: String = "", in files: String
    ) throws {
        let folder = files + "/TRADE_001"
        try FileManager.default.createDirectory(
            atPath: folder, withIntermediateDirectories: true)
        let body = String(repeating: body, count: 200_000)
        let members = (1...count).map { number in
            "\"a\(String(1_000 + number).dropFirst())\":\"\(body)\""
        }
        try "{\(members.joined(separator: ","))\(further)}".write(
            toFile: folder + "/articles.json", atomically: true, encoding: .utf8)
    }

    /// Each file of the strategy with its bytes.
    func content() throws -> [String: Data] {
        let root = files
        var files: [String: Data] = [:]
        for name in try FileManager.default.subpathsOfDirectory(atPath: root)
        where !name.hasPrefix(".opsd") && name.contains(".") {
            files[name] = FileManager.default.contents(atPath: root + "/" + name)
        }
        return files
    }

    /// What redis-py and psql find, beside the files: a line a dataset.
    func seenByOthers() async throws -> [String] {
        let found = try await Desk.command(
            [
                "python3", "-c", Self.reader, files, "\(redis.port)",
                (PostgresServer.programs ?? "/usr/bin") + "/psql", postgres.url(database),
            ], in: desk.directory, program: "/usr/bin/env")
        #expect(found.code == 0, "\(found)")
        return found.output.split(separator: "\n").map(String.init)
    }

    func unmigrated() async throws -> [String] {
        try await whyUnmigrated().keys.sorted()
    }

    /// Until the core has looked, and found that the files are not its own.
    func eventuallyUnmigrated(_ dataset: String) async throws {
        try await eventually("\(dataset) is not opsd's own") {
            try await unmigrated().contains(dataset)
        }
    }

    func status() async throws -> JSONValue {
        try await desk.get("\(desk.opsURL)/api/ops/status").json?["data"] ?? .null
    }

    /// The number of the newest entry.
    func head() async throws -> Int {
        let text = try await status()["core"]?["journal_sequence"]?.text ?? ""
        return try #require(text.split(separator: "-").last.flatMap { Int($0) })
    }

    /// By dataset; empty as long as the core has not looked.
    func whyUnmigrated() async throws -> [String: String] {
        let found =
            StoreDesk.store("files", in: try await status())?["unmigrated"]?.elements ?? []
        return Dictionary(
            found.map { ($0["dataset"]?.text ?? "", $0["says"]?.text ?? "") },
            uniquingKeysWith: { first, _ in first })
    }
}
