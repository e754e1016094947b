import ExactJSON
import Foundation
import Ledger
import TestSupport
import Testing

@testable import opsd

extension RealProcesses {
    /// Plans, receipts and reviews, with real stores and a real daemon.
    @Suite(
        .serialized, .enabled(if: StoreDesk.isWanted, "redis-server or PostgreSQL is not installed")
    )
    struct RepairTests {
        @Test(.timeLimit(.minutes(5)))
        func whatIsPutRightInEachStoreIsPutBackByteForByte() async throws {
            let redis = try await RedisServer()
            let names = ["hot", "record", "files", "local"]
            try await RepairScene.run(
                further: ["files", "local"], check: "repair: plan", redis: redis
            ) { scene in
                try await scene.put(0..<60, days: 1)
                try await scene.settle(names)
                var right: [String: String] = [:]
                for name in names { right[name] = try await scene.bytes(of: name) }
                try await damage(scene)
                var wrong: [String: String] = [:]
                for name in names {
                    wrong[name] = try await scene.bytes(of: name)
                    #expect(wrong[name] != right[name], "\(name)")
                }

                let found = try await scene.verify("--repair", "plan")
                #expect(found.code == 1, "\(found)")
                let plans = RepairScene.repairs(found)
                #expect(Set(plans.keys) == Set(names), "\(found)")
                #expect(plans.values.allSatisfy { $0["state"]?.text == "waiting" })
                for name in names { #expect(try await scene.bytes(of: name) == wrong[name]) }
                #expect(try await scene.open() == "4")
                let listed = try await scene.opsd("review", "list", reason: false)
                #expect(listed.documents.last??["open"]?.integer == 4, "\(listed)")
                // The same again is no second review.
                let again = try await scene.verify("--repair", "plan")
                #expect(again.code == 1)
                #expect(
                    RepairScene.repairs(again).mapValues { $0["repair"] }
                        == plans.mapValues { $0["repair"] })
                #expect(try await scene.open() == "4")

                for (name, plan) in plans {
                    let id = try #require(plan["repair"]?.text)
                    let done = try await scene.opsd(
                        name == "hot" ? "review" : "repair", name == "hot" ? "approve" : "apply",
                        id)
                    #expect(done.code == 0, "\(name): \(done)")
                    #expect(done.documents.last??["state"]?.text == "applied", "\(done)")
                    #expect(try await scene.bytes(of: name) == right[name], "\(name)")
                }
                let whole = try await scene.verify()
                #expect(whole.code == 0, "\(whole)")
                #expect(try await scene.open() == "0")

                for (name, plan) in plans {
                    let id = try #require(plan["repair"]?.text)
                    let done = try await scene.opsd("repair", "undo", id)
                    #expect(done.code == 0, "\(name): \(done)")
                    #expect(try await scene.bytes(of: name) == wrong[name], "\(name)")
                }
                // What a person has put back is not repaired again without one.
                let later = try await scene.verify("--repair", "auto")
                #expect(later.code == 1, "\(later)")
                for (name, plan) in RepairScene.repairs(later) {
                    #expect(plan["state"]?.text == "waiting", "\(name): \(later)")
                    let says = plan["reason"]?.text ?? ""
                    #expect(says.contains("put back by a person"), "\(says)")
                    let id = try #require(plan["repair"]?.text)
                    let rejected = try await scene.opsd("review", "reject", id)
                    #expect(rejected.code == 0, "\(rejected)")
                    #expect(try await scene.bytes(of: name) == wrong[name], "\(name)")
                }
                #expect(try await scene.open() == "0")
                let last = try await scene.verify("--repair", "auto")
                #expect(last.code == 1)
                #expect(
                    RepairScene.repairs(last).values.allSatisfy { $0["state"]?.text == "rejected" })
                #expect(try await scene.open() == "0", "what was rejected does not wait again")

                // Who did what stands in the journal.
                let tail = try await scene.desk.command("journal", "tail", "-n", "100")
                for kind in ["waiting", "approved", "applying", "applied", "undoing", "undone"] {
                    #expect(tail.output.contains("repair.\(kind) "), "\(kind): \(tail.output)")
                }
                #expect(try await scene.desk.command("journal", "check").code == 0)
            }
        }

        /// A row with other values, one that is gone, one that nobody journaled; and what is no row.
        private func damage(_ scene: RepairScene) async throws {
            try await scene.spoilRedis(0..<2)
            try await scene.redis(2..<3, "redis.call('HDEL', key, field)")
            try await scene.redis(3..<4, "redis.call('HSET', key, field, 'no row')")
            try await scene.redis(900..<901, "redis.call('HSET', key, field, '{\"days\":7}')")
            try await scene.spoilPostgres(4..<6)
            _ = try await scene.psql(
                """
                DELETE FROM held WHERE symbol = '\(RepairScene.symbol(6))';
                INSERT INTO held (account_id, symbol, days, opsd_sequence)
                VALUES ('\(RepairScene.account)', 'ROGUE', 7, 0)
                """)
            let path = scene.desk.data + "/files/\(RepairScene.account)/held.json"
            let text = try String(contentsOfFile: path, encoding: .utf8)
            try text.replacing(
                "\"\(RepairScene.symbol(7))\":{\"days\":1",
                with: "\"\(RepairScene.symbol(7))\":{\"days\":8"
            ).write(toFile: path, atomically: true, encoding: .utf8)
            let script = """
                import sqlite3, sys
                db = sqlite3.connect(sys.argv[1], timeout=5)
                db.execute("UPDATE held SET days = -1 WHERE symbol = ?", (sys.argv[2],))
                db.execute("DELETE FROM held WHERE symbol = ?", (sys.argv[3],))
                db.commit()
                """
            let sqlite = try await Desk.command(
                [
                    "python3", "-c", script, scene.desk.data + "/record.sqlite",
                    RepairScene.symbol(8), RepairScene.symbol(9),
                ], in: scene.desk.directory, program: "/usr/bin/env")
            try #require(sqlite.code == 0, "\(sqlite)")
        }

        @Test(.timeLimit(.minutes(4)))
        func withinTheBudgetItIsDoneAndAboveItNothingIsTouched() async throws {
            let redis = try await RedisServer()
            try await RepairScene.run(
                check: "repair: auto, budget: {rows: 5, ratio: 0.05}", redis: redis
            ) { scene in
                try await scene.put(0..<100, days: 1)
                try await scene.settle()
                let right = try await scene.bytes(of: "hot")
                try await scene.spoilRedis(0..<5)
                let done = try await scene.verify("--repair", "auto")
                #expect(done.code == 0, "\(done)")
                #expect(RepairScene.repairs(done)["hot"]?["state"]?.text == "applied", "\(done)")
                #expect(try await scene.bytes(of: "hot") == right)
                let repaired = "opsd_repair_rows_total{check=\"holdings\",outcome=\"repaired\"}"
                #expect(try await scene.metric(repaired) == "5")
                #expect(try await scene.open() == "0")

                try await scene.spoilRedis(10..<16)
                let wrong = try await scene.bytes(of: "hot")
                let above = try await scene.verify("--repair", "auto")
                #expect(above.code == 1, "\(above)")
                let plan = try #require(RepairScene.repairs(above)["hot"])
                #expect(plan["state"]?.text == "waiting")
                #expect(plan["reason"]?.text?.contains("the budget is 5") == true, "\(plan)")
                #expect(try await scene.bytes(of: "hot") == wrong)
                #expect(try await scene.open() == "1")
                // What was decided is known after a crash, from the journal.
                try await scene.desk.kill9("core")
                try await scene.desk.waitUntilReady()
                try await eventually("the core counts it again") {
                    try await scene.open() == "1"
                }
                #expect(try await scene.metric(repaired) == "5")
                // A newer plan takes the older one's place.
                try await scene.spoilRedis(16..<17)
                let newer = try await scene.verify("--repair", "auto")
                let id = try #require(RepairScene.repairs(newer)["hot"]?["repair"]?.text)
                #expect(id != plan["repair"]?.text)
                #expect(try await scene.open() == "1")
                // A file that somebody has changed is not the plan that was journaled.
                let path = scene.desk.data + "/repairs/\(id)/plan.jsonl"
                let text = try String(contentsOfFile: path, encoding: .utf8)
                try (text + "\n").write(toFile: path, atomically: true, encoding: .utf8)
                let changed = try await scene.opsd("repair", "apply", id)
                #expect(try await scene.open() == "1", "it waits as before")
                #expect(changed.code == 4 && changed.errors.contains("was changed"), "\(changed)")
                try text.write(toFile: path, atomically: true, encoding: .utf8)
                let approved = try await scene.opsd("repair", "apply", id)
                #expect(approved.code == 0, "\(approved)")
                #expect(try await scene.bytes(of: "hot") == right)
                #expect(try await scene.verify().code == 0)
                #expect(try await scene.metric(repaired) == "12")
            }
        }

        @Test(.timeLimit(.minutes(4)))
        func withoutACoreThePlanWaitsAndACommandDoesTheWork() async throws {
            let redis = try await RedisServer()
            try await RepairScene.run(redis: redis) { scene in
                try await scene.put(0..<50, days: 1)
                try await scene.settle()
                let right = try await scene.bytes(of: "record")
                #expect(try await scene.desk.terminate() == 0)
                try await scene.spoilPostgres(3..<6)
                let wrong = try await scene.bytes(of: "record")
                let found = try await scene.verify("--repair", "auto")
                #expect(found.code == 1, "\(found)")
                let ids = found.documents.compactMap { $0?["repair"]?.text }
                let id = try #require(ids.first)
                #expect(try await scene.bytes(of: "record") == wrong)
                let listed = try await scene.opsd("review", "list", reason: false)
                #expect(listed.documents.first??["state"]?.text == "filed", "\(listed)")
                #expect(listed.documents.last??["open"]?.integer == 1, "\(listed)")
                let dry = try await scene.opsd("repair", "apply", id, "--dry-run")
                #expect(dry.code == 0 && dry.output.contains("\"rows\":3"), "\(dry)")
                #expect(try await scene.bytes(of: "record") == wrong)
                let done = try await scene.opsd("repair", "apply", id)
                #expect(done.code == 0, "\(done)")
                #expect(try await scene.bytes(of: "record") == right)
                let undone = try await scene.opsd("repair", "undo", id)
                #expect(undone.code == 0, "\(undone)")
                #expect(try await scene.bytes(of: "record") == wrong)
                let strange = try await scene.opsd("repair", "apply", "nothing-1")
                #expect(strange.code == 2, "\(strange)")
                let twice = try await scene.opsd("repair", "apply", id)
                #expect(twice.code == 4 && twice.errors.contains("is undone"), "\(twice)")
            }
        }

        @Test(.timeLimit(.minutes(4)))
        func whatAnotherProgramHasWrittenIsAdoptedWhereTheCheckSaysSo() async throws {
            let redis = try await RedisServer()
            try await RepairScene.run(
                check: "repair: auto, conflict: store, budget: {rows: 5, ratio: 1}", redis: redis
            ) { scene in
                try await scene.put(0..<50, days: 1)
                try await scene.settle()
                try await scene.spoilRedis(0..<2, days: 9)
                let done = try await scene.verify("--store", "hot", "--repair", "auto")
                #expect(done.code == 0, "\(done)")
                let line = try #require(RepairScene.repairs(done)["hot"])
                #expect(line["adopted"]?.integer == 2, "\(done)")
                try await scene.settle()
                let days = "SELECT count(*) FROM held WHERE days = 9"
                #expect(try await scene.psql(days).contains("2"))
                let undone = try await scene.opsd(
                    "repair", "undo", try #require(line["repair"]?.text))
                #expect(undone.code == 0, "\(undone)")
                try await scene.settle()
                #expect(try await scene.psql(days).contains("0"))
                #expect(try await scene.verify().code == 0)
            }
        }
    }
}
