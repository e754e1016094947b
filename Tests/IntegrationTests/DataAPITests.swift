import CurlClient
import ExactJSON
import Foundation
import Ledger
import Synchronization
import TestSupport
import Testing

extension RealProcesses {
    /// The data API as programs in other languages meet it, with real stores behind it.
    @Suite(.serialized) struct DataAPITests {
        private static let sections = """

            stores:
              files: {kind: files, path: ./files}
              local: {kind: sqlite, path: ./local.sqlite}
              dead: {kind: redis, url: "redis://127.0.0.1:1/0", timeout: 1s}
            datasets:
              held_days:
                kind: declared
                key: [account_id, symbol]
                fields: {days: integer, max_price: decimal?}
                old: files
                new: local
                read: new
                layout: {files: {path: "{account_id}/held_days.json"}}
              undone:
                kind: declared
                on_failure: roll_back
                key: [account_id, symbol]
                fields: {days: integer}
                old: files
                new: dead
              late:
                kind: declared
                key: [account_id, symbol]
                fields: {days: integer}
                old: files
                new: dead
                read: new

            """

        private static var settings: DeskSettings {
            DeskSettings(accounts: 2, sections: sections)
        }

        private func write(
            _ desk: Desk, _ path: String, days: Int, _ token: String, ifMatch tag: String? = nil
        ) async throws -> Answer {
            var headers: CurlHeaders = ["Authorization": "Bearer \(token)"]
            if let tag { headers["If-Match"] = tag }
            return try await desk.send(
                CurlRequest(
                    .put, "\(desk.tradingURL)/api/v1/data/\(path)", headers: headers,
                    body: Array("{\"days\":\(days)}".utf8), timeout: .seconds(20)))
        }

        /// The README's block of code that speaks of the data API.
        private static func readme() throws -> String {
            var folder = URL(fileURLWithPath: #filePath)
            for _ in 0..<3 { folder.deleteLastPathComponent() }
            let text = try String(
                contentsOf: folder.appendingPathComponent("README.md"), encoding: .utf8)
            let blocks = text.components(separatedBy: "```").filter { $0.hasPrefix("python\n") }
            return String(
                try #require(blocks.first { $0.contains("/api/v1/data/") }).dropFirst(
                    "python\n".count))
        }

        @Test(.timeLimit(.minutes(3)))
        func threeLinesOfPythonWriteARowIntoEveryStore() async throws {
            let lines = try Self.readme()
            #expect(lines.split(separator: "\n").count == 3)
            try await Desk.run(Self.settings) { desk in
                let token = try await desk.token("TRADE_001")
                try lines.replacing("http://127.0.0.1:8080", with: desk.tradingURL)
                    .write(
                        toFile: desk.directory.path("write.py"), atomically: true, encoding: .utf8)
                let run = try await Desk.command(
                    ["TOKEN=\(token)", "python3", "write.py"], in: desk.directory,
                    program: "/usr/bin/env")
                #expect(run.code == 0, "\(run)")
                #expect(run.output.contains("'days': 3"), "\(run)")
                let read = try await desk.api(.get, "/data/held_days/TRADE_001/AAPL", token)
                #expect(read.data?["days"]?.integer == 3)
                try await eventually("the files have the row") {
                    desk.text("data/files/TRADE_001/held_days.json").contains("\"AAPL\"")
                }
                // A store that is dead: what is rolled forward stands, what is rolled back does not.
                try await eventually("the dead store is known to be dead") {
                    try await write(desk, "late/TRADE_001/X", days: 1, token).text.contains(
                        "behind")
                }
                let late = try await write(desk, "late/TRADE_001/AAPL", days: 1, token)
                #expect(late.status == 202, "\(late.text)")
                #expect(late.text.contains("the store dead is behind"))
                let undone = try await write(desk, "undone/TRADE_001/AAPL", days: 1, token)
                #expect(undone.status == 503, "\(undone.text)")
                #expect(undone.text.contains("rolled back: the store dead did not take"))
                for (path, status) in [("late", 200), ("undone", 404)] {
                    let answer = try await desk.api(.get, "/data/\(path)/TRADE_001/AAPL", token)
                    #expect(answer.status == status, "\(answer.text)")
                }
                let tail = try await desk.command("journal", "tail", "-n", "2")
                #expect(tail.output.contains("data.rolled_back TRADE_001 undone/TRADE_001/AAPL"))
                let number = tail.output.split(separator: "\n").first?.split(separator: " ").first
                let entry = try await desk.command("journal", "show", String(number ?? ""))
                #expect(entry.output.contains("days: 1"), "\(entry.output)")
            }
        }

        /// As Python's clients are: they read an answer when they have sent everything, and take what
        /// follows an answer for the next one.
        private static let simpleClient = """
            import http.client, os, urllib.error, urllib.request
            place, headers = os.environ["PLACE"], {"Authorization": "Bearer " + os.environ["TOKEN"]}
            row = "/api/v1/data/held_days/TRADE_001/AAPL"
            large = urllib.request.Request("http://" + place + row, b" " * 30_000_000, headers, method="PUT")
            try:
                urllib.request.urlopen(large, timeout=20)
            except urllib.error.HTTPError as error:
                print(error.code)
            connection = http.client.HTTPConnection(place, timeout=20)
            for method in ("HEAD", "GET"):
                connection.request(method, row, headers=headers)
                answer = connection.getresponse()
                answer.read()
                print(answer.status)
            """

        @Test(.timeLimit(.minutes(3)))
        func aSimpleClientIsAnsweredAlsoWhenItSendsTooMuch() async throws {
            try await Desk.run(Self.settings) { desk in
                let token = try await desk.token("TRADE_001")
                #expect(
                    try await write(desk, "held_days/TRADE_001/AAPL", days: 0, token).status == 201)
                let place = desk.tradingURL.replacing("http://", with: "")
                let run = try await Desk.command(
                    ["PLACE=\(place)", "TOKEN=\(token)", "python3", "-c", Self.simpleClient],
                    in: desk.directory, program: "/usr/bin/env")
                #expect(run.output == "413\n404\n200\n", "\(run)")
            }
        }

        @Test(.timeLimit(.minutes(3)))
        func ofTwoWritersWithOneSequenceExactlyOneWins() async throws {
            try await Desk.run(Self.settings) { desk in
                let token = try await desk.token("TRADE_001")
                let path = "held_days/TRADE_001/AAPL"
                #expect(try await write(desk, path, days: 0, token).status == 201)
                for round in 1...200 {
                    let row = try await desk.api(.get, "/data/\(path)", token)
                    let tag = try #require(row.headers["ETag"])
                    async let one = write(desk, path, days: 2 * round, token, ifMatch: tag)
                    async let other = write(desk, path, days: 2 * round + 1, token, ifMatch: tag)
                    let answers = try await [one, other]
                    #expect(answers.map(\.status).sorted() == [200, 412], "round \(round)")
                    let winner = try #require(answers.first { $0.status == 200 })
                    let now = try await desk.api(.get, "/data/\(path)", token)
                    #expect(now.data == winner.data)
                }
            }
        }

        /// Datasets of one shape, each in a store of another kind.
        private static func one(ofEach fields: String, redis port: Int) -> String {
            let dataset = "{kind: declared, key: [account_id, symbol], fields: {\(fields)}"
            return """

                stores:
                  files: {kind: files, path: ./files}
                  local: {kind: sqlite, path: ./local.sqlite}
                  hot: {kind: redis, url: "redis://127.0.0.1:\(port)/0"}
                datasets:
                  as_json: \(dataset), old: files}
                  as_csv: \(dataset), old: files, layout: {files: {path: "all.csv", format: csv}}}
                  as_table: \(dataset), old: local}
                  as_keys: \(dataset), old: hot}

                """
        }

        private static let datasets = ["as_json", "as_csv", "as_table", "as_keys"]

        private func value(of series: String, _ desk: Desk) async throws -> String? {
            let text = try await desk.get("\(desk.opsURL)/metrics").text
            let line = text.split(separator: "\n").first { $0.hasPrefix(series + " ") }
            return line?.split(separator: " ").last.map(String.init)
        }

        /// Every store has every entry, and every dataset is read where it should be.
        private func storesAreWell(_ desk: Desk) async throws {
            try await eventually("every store has what the journal has") {
                let head = try await value(of: "opsd_journal_last_sequence", desk)
                for store in ["files", "local", "hot"] {
                    let series = "opsd_store_applied_sequence{store=\"\(store)\"}"
                    if head == nil { return false }
                    if try await value(of: series, desk) != head { return false }
                }
                return true
            }
            for dataset in Self.datasets {
                let series = "opsd_store_degraded{dataset=\"\(dataset)\"}"
                #expect(try await value(of: series, desk) == "0", "\(dataset)")
            }
        }

        @Test(.enabled(if: RedisServer.isWanted), .timeLimit(.minutes(3)))
        func aFieldThatIsAddedReachesEveryKindOfStore() async throws {
            let redis = try await RedisServer()
            let narrow = Self.one(ofEach: "days: integer", redis: redis.port)
            let wide = Self.one(ofEach: "days: integer, note: text?", redis: redis.port)
            try await Desk.run(DeskSettings(accounts: 1, sections: narrow)) { desk in
                let token = try await desk.token("TRADE_001")
                for dataset in Self.datasets {
                    for symbol in ["AAPL", "MSFT"] {
                        let answer = try await write(
                            desk, "\(dataset)/TRADE_001/\(symbol)", days: 1, token)
                        #expect(answer.status == 201, "\(answer.text)")
                    }
                }
                try await storesAreWell(desk)
                let text = try String(contentsOfFile: desk.configurationFile, encoding: .utf8)
                #expect(text.contains(narrow))
                try text.replacing(narrow, with: wide)
                    .write(toFile: desk.configurationFile, atomically: true, encoding: .utf8)
                _ = try await desk.terminate()
                try await desk.start()
                try await desk.waitUntilReady()
                for dataset in Self.datasets {
                    let answer = try await desk.api(
                        .put, "/data/\(dataset)/TRADE_001/AAPL", token,
                        body: #"{"days":2,"note":"now"}"#)
                    #expect(answer.status == 200, "\(answer.text)")
                    let rows = try await desk.all("/data/\(dataset)", token)
                    #expect(rows.map { $0["note"]?.text } == ["now", nil], "\(dataset)")
                    #expect(rows.map { $0["days"]?.integer } == [2, 1], "\(dataset)")
                }
                try await storesAreWell(desk)
                #expect(desk.text("data/files/all.csv").contains("note"))
                #expect(desk.text("data/files/TRADE_001/as_json.json").contains("now"))
                // What cannot be taken is said by the core that does not start.
                try text.replacing(
                    narrow, with: wide.replacing("days: integer", with: "days: text")
                )
                .write(toFile: desk.configurationFile, atomically: true, encoding: .utf8)
                let halt = try await desk.command("account", "list")
                #expect(halt.code == 0, "the running core goes on: \(halt)")
                _ = try await desk.terminate()
                let list = try await desk.command("account", "list")
                #expect(list.code == 3, "\(list)")
                #expect(list.errors.contains("Only optional fields can be added"), "\(list)")
            }
        }

        /// What was acknowledged of a row: the lock is between writers and the test.
        private final class Acknowledged: Sendable {
            let days = Mutex<[String: Int]>([:])
            let count = Mutex(0)
        }

        @Test(.timeLimit(.minutes(5)))
        func killingTheCoreInMidWriteLosesNoAcknowledgedRow() async throws {
            try await Desk.run(Self.settings) { desk in
                let token = try await desk.token("TRADE_001")
                let known = Acknowledged()
                let writers = (0..<4).map { writer in
                    Task {
                        var count = 0
                        while !Task.isCancelled {
                            count += 1
                            let symbol = "W\(writer)-\(count % 50)"
                            guard
                                let answer = try? await write(
                                    desk, "held_days/TRADE_001/\(symbol)", days: count, token)
                            else {
                                try? await Task.sleep(for: .milliseconds(20))
                                continue
                            }
                            if (200..<300).contains(answer.status) {
                                known.days.withLock { $0[symbol] = count }
                                known.count.withLock { $0 += 1 }
                            }
                        }
                    }
                }
                for _ in 0..<4 {
                    let before = known.count.withLock { $0 }
                    try await eventually("rows are written") {
                        known.count.withLock { $0 } > before + 300
                    }
                    try await desk.kill9("core")
                    try await desk.waitUntilReady()
                }
                for writer in writers { writer.cancel() }
                for writer in writers { await writer.value }
                let rows = try await desk.all("/data/held_days", token)
                let found = Dictionary(
                    uniqueKeysWithValues: rows.compactMap { row in
                        row["symbol"]?.text.map { ($0, row["days"]?.integer ?? -1) }
                    })
                let acknowledged = known.days.withLock { $0 }
                #expect(acknowledged.count > 100)
                for (symbol, days) in acknowledged {
                    // A later write of the same row may be there that nobody heard of.
                    let present = try #require(found[symbol], "\(symbol) is lost")
                    #expect(present >= days && present % 50 == days % 50, "\(symbol)")
                }
                #expect(try await desk.command("journal", "check").code == 0)
            }
        }
    }
}
