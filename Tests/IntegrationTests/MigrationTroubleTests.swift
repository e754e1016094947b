import CurlClient
import ExactJSON
import Foundation
import TestSupport
import Testing

extension RealProcesses {
    /// What makes a migration difficult: large rows, a core that ends at the wrong moment, a target that
    /// differs, a file that has more than rows.
    @Suite(
        .serialized, .enabled(if: StoreDesk.isWanted, "redis-server or PostgreSQL is not installed")
    )
    struct MigrationTroubleTests {
        /// Together they are more than one request or one answer may hold.
        @Test(.timeLimit(.minutes(4)))
        func rowsOf200KilobytesGoAndAreTakenBack() async throws {
            // The last one has a name that no key takes.
            let long = ",\"\(String(repeating: "z", count: 65))\":\"\""
            try await MigrationDesk.run(
                accounts: 1, days: 1, deals: 1,
                articles: {
                    try MigrationDesk.writeArticles(20, body: "a", further: long, in: $0)
                }
            ) { migration in
                let desk = migration.desk
                let files = migration.files
                let token = try await desk.token("TRADE_001", role: "admin")
                let words = ["--dataset", "articles", "--from", "files", "--to", "hot"]
                func journaled() async throws -> Int? {
                    try await desk.api(.get, "/data/articles?page=1&pageSize=1", token)
                        .data?["total"]?.integer
                }
                try await migration.eventuallyUnmigrated("articles")
                let kept = try await migration.migrate(words, "--keep")
                #expect(kept.code == 4 && kept.errors.contains("1 to 64 bytes"), "\(kept)")
                #expect(!kept.errors.contains("taken back"), "\(kept)")
                let count = try #require(try await journaled())
                #expect((15...20).contains(count))
                #expect(migration.state()?["phase"]?.text == "running")
                #expect(migration.state()?["counts"]?["created"]?.integer == count)
                // Tried again without --keep, everything goes.
                let failed = try await migration.migrate(words)
                #expect(failed.code == 4, "\(failed)")
                #expect(failed.errors.contains("\(count) rows were taken back"), "\(failed)")
                #expect(try await journaled() == 0)

                try MigrationDesk.writeArticles(66, body: "b", in: files)
                let done = try await migration.migrate(words, "--json")
                #expect(done.code == 0, "\(done.errors)")
                #expect(done.documents.last??["rows_created"]?.integer == 66)
                // The core's answer has all rows of before.
                try MigrationDesk.writeArticles(66, body: "c", in: files)
                let again = try await migration.migrate(words, "--json")
                #expect(again.code == 0, "\(again.errors)")
                #expect(again.documents.last??["rows_replaced"]?.integer == 66)
                let length = try await migration.redis("HLEN", "opsd:articles:TRADE_001")
                #expect(length.hasPrefix("66\n"), "\(length)")
                let first = try await migration.redis("HGET", "opsd:articles:TRADE_001", "a001")
                #expect(first.contains("cccc") && first.utf8.count > 200_000)
                // Larger ones are refused, not tried for ever.
                let large = String(repeating: "d", count: 9 << 20)
                try MigrationDesk.writeArticles(
                    66, body: "c", further: ",\"a999\":\"\(large)\"", in: files)
                let refused = try await migration.migrate(words)
                #expect(refused.code == 4, "\(refused.errors)")
                #expect(refused.errors.contains("the journal takes rows of up to"), "\(refused)")
            }
        }

        /// It has all rows by then, and could take the source over.
        @Test(.timeLimit(.minutes(3)))
        func aCoreThatRestartsLeavesTheSourceAloneUntilTheEnd() async throws {
            try await MigrationDesk.run(accounts: 5, days: 1, deals: 1) { migration in
                let desk = migration.desk
                let before = try migration.content()
                let words = ["--dataset", "held_days", "--from", "files", "--to", "hot"]
                migration.redis.kill()
                let stopped = try await migration.migrate(words, wait: 3)
                #expect(stopped.code == 3, "\(stopped)")
                #expect(migration.state()?["counts"]?["created"]?.integer == 50)
                try await desk.kill9("core")
                try await migration.eventuallyUnmigrated("held_days")
                #expect(
                    try await migration.whyUnmigrated()["held_days"]?.contains("is not over")
                        == true)
                let abandoned = try await migration.migrate(
                    "--dataset", "held_days", "--abandon")
                #expect(abandoned.code == 0, "\(abandoned)")
                #expect(abandoned.output.contains("50 rows were taken back"), "\(abandoned)")
                #expect(try migration.content() == before)
                #expect(try await migration.missing("held_days", to: "hot") == 50)
                #expect(
                    try await migration.whyUnmigrated()["held_days"]?.contains("journaled by")
                        == true, "the reason is another one by now")

                // Left as it is, the rows are the core's, and it takes the source over.
                let second = try await migration.migrate(words, wait: 3)
                #expect(second.code == 3, "\(second)")
                let left = try await migration.migrate(
                    "--dataset", "held_days", "--abandon", "--keep")
                #expect(left.code == 0, "\(left)")
                #expect(try await !migration.unmigrated().contains("held_days"))
                #expect(try await migration.missing("held_days", to: "hot") == 0)
                #expect(try migration.content() == before)
                // By now taking back would take them out of the source.
                try await migration.redis.start()
                let after = try await migration.migrate(words)
                #expect(after.code == 0, "\(after)")
            }
        }

        @Test(.timeLimit(.minutes(4)))
        func takingBackGoesOnAfterAKill() async throws {
            try await MigrationDesk.run(accounts: 20, days: 48, deals: 10) { migration in
                let desk = migration.desk
                let before = try migration.content()
                let words = ["--dataset", "deal_hist", "--from", "files", "--to", "record"]
                let first = try migration.start(
                    words, as: "first")
                try await migration.untilRead(8_000)
                first.signal(SIGKILL)
                _ = try await first.exit(within: .seconds(5))
                let head = try await migration.head()
                let second = try migration.start(
                    ["--dataset", "deal_hist", "--abandon"], as: "second")
                try await eventually("two entries have taken rows back") {
                    try await migration.head() >= head + 2
                }
                second.signal(SIGKILL)
                #expect(try await second.exit(within: .seconds(5)) != 0, "it was on its way")
                #expect(migration.state()?["phase"]?.text == "rolling_back")
                let left = try #require(try await migration.missing("deal_hist", to: "record"))
                #expect(left < 9_600, "something was still to be taken back")
                let third = try await migration.migrate("--dataset", "deal_hist", "--abandon")
                #expect(third.code == 0, "\(third)")
                #expect(migration.state()?["phase"]?.text == "rolled_back")
                #expect(try await migration.missing("deal_hist", to: "record") == 9_600)
                #expect(try migration.content() == before)
                try await eventually("nothing of it is in a store") {
                    try await migration.redis("KEYS", "acc:deals:*").allSatisfy(\.isWhitespace)
                }
                #expect(try await desk.command("journal", "check").code == 0)
            }
        }

        @Test(.timeLimit(.minutes(3)))
        func aTargetThatDiffersInTheEndHasEverythingTakenBack() async throws {
            try await MigrationDesk.run(accounts: 3, days: 1, deals: 1) { migration in
                let before = try migration.content()
                try await migration.eventuallyUnmigrated("max_prices")
                // A row that the store has by itself, of an account that is migrated.
                try await eventually("the target is filled") {
                    StoreDesk.store("hot", in: try await migration.status())?["state"]?.text
                        == "following"
                }
                _ = try await migration.redis(
                    "HSET", "opsd:max_prices:QMT_001", "X", "{\"price\":\"1\"}")
                let words = ["--dataset", "max_prices", "--from", "files", "--to", "hot"]
                let failed = try await migration.migrate(words)
                #expect(failed.code == 1, "\(failed)")
                #expect(failed.output.contains("max_prices/QMT_001/X"), "\(failed)")
                #expect(failed.output.contains("30 rows were taken back"), "\(failed)")
                #expect(migration.state()?["phase"]?.text == "rolled_back")
                #expect(try await migration.missing("max_prices", to: "hot") == 30)
                // With --keep they stay, and the same command compares again.
                let kept = try await migration.migrate(words, "--keep")
                #expect(kept.code == 1 && kept.output.contains("not equal"), "\(kept)")
                #expect(!kept.output.contains("taken back"), "\(kept)")
                #expect(try await migration.unmigrated().contains("max_prices"))
                _ = try await migration.redis("HDEL", "opsd:max_prices:QMT_001", "X")
                let done = try await migration.migrate(words)
                #expect(done.code == 0, "\(done)")
                #expect(try await !migration.unmigrated().contains("max_prices"))
                #expect(try migration.content() == before)
            }
        }

        /// The date beside the rows, and the trading core's own rows.
        @Test(.timeLimit(.minutes(3)))
        func whatIsNoRowStaysWhenOpsdWritesTheFile() async throws {
            try await MigrationDesk.run(accounts: 2, days: 1, deals: 1) { migration in
                let desk = migration.desk
                let token = try await desk.token("TRADE_001", role: "admin")
                let path = migration.files + "/TRADE_001/held_days.json"
                try FileManager.default.createDirectory(
                    atPath: migration.files + "/TRADE_001", withIntermediateDirectories: true)
                let member = #""_inc_date" :  "2026-01-02""#
                try "{\"600000.SH\": 3, \(member)}".write(
                    toFile: path, atomically: false, encoding: .utf8)
                let before = try migration.content()
                let done = try await migration.migrate(
                    "--dataset", "held_days", "--from", "files", "--to", "hot", "--json")
                #expect(done.code == 0, "\(done)")
                #expect(done.documents.last??["rows_created"]?.integer == 21, "\(done)")
                #expect(try migration.content() == before)
                #expect(
                    try await migration.redis("HGETALL", "acc:held:TRADE_001")
                        == "600000.SH\n3\n")
                func file() throws -> String { try String(contentsOfFile: path, encoding: .utf8) }
                let put = try await desk.api(
                    .put, "/data/held_days/TRADE_001/600000.SH", token, body: #"{"days":4}"#)
                #expect(put.status == 200, "\(put.text)")
                try await eventually("the file is written") { try file().contains("4") }
                #expect(try file() == "{\n\(member),\n\"600000.SH\":4\n}\n")
                let gone = try await desk.api(
                    .delete, "/data/held_days/TRADE_001/600000.SH", token)
                #expect(gone.status == 200, "\(gone.text)")
                try await eventually("the row is gone") { try !file().contains("600000") }
                #expect(try file() == "{\n\(member)\n}\n")

                let order = try await desk.api(
                    .post, "/orders", token, body: OrderText(account: "TRADE_001").body)
                #expect(order.status == 202, "\(order.text)")
                try await eventually("there is a position") {
                    try await desk.all("/positions", token).count == 1
                }
                let core = try await migration.migrate(
                    "--dataset", "positions", "--from", "files", "--to", "hot", "--json")
                #expect(core.code == 0, "\(core)")
                #expect(core.documents.last??["rows_compared"]?.integer == 1, "\(core)")
                #expect(core.documents.last??["rows_journaled"]?.integer == 0, "\(core)")
                #expect(migration.state()?["phase"]?.text == "done")
                let position = try await migration.redis("HGET", "acc:positions:TRADE_001", "AAPL")
                #expect(position.contains("\"qty\":\"1\""), "\(position)")
                let dates = try await migration.migrate(
                    "--dataset", "positions", "--from", "files", "--to", "hot", "--since",
                    "2026-01-01")
                #expect(dates.code == 2 && dates.errors.contains("leave the dates out"), "\(dates)")
            }
        }
    }
}
