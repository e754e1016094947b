import Connections
import Foundation
import Ledger
import TestSupport
import Testing

@testable import PostgresStore

/// What happens to the store when something happens to the server.
@Suite(
    .enabled(if: PostgresServer.isWanted, "PostgreSQL is not installed"), .serialized,
    .timeLimit(.minutes(3)))
struct FaultTests {
    /// Until a call succeeds again; what it throws meanwhile must be `unavailable`.
    private func eventually<Result>(
        _ body: () async throws -> Result
    ) async throws -> Result {
        let deadline = ContinuousClock.now + .seconds(30)
        while true {
            do {
                return try await body()
            } catch let error as StoreError {
                guard error.kind == "unavailable", ContinuousClock.now < deadline else {
                    throw error
                }
            }
            try await Task.sleep(for: .milliseconds(50))
        }
    }

    @Test func aServerThatIsKilledInMidWriteKeepsWholeBatchesOnly() async throws {
        let server = try await PostgresServer()
        let database = try await TestDatabase(server)
        let store = try database.open()
        for round in 0..<3 {
            let before = try await eventually { try await store.appliedSequence() }.number
            let writing = Task { () -> (last: Int64, error: StoreError?) in
                var number = before
                while true {
                    let next = number + 1
                    let rows = try (next * 100..<next * 100 + 100).map { try Batch.row($0) }
                    let error = await storeError {
                        try await store.apply(
                            Batch.put(rows, after: number == 0 ? 0 : number, at: next))
                    }
                    if let error { return (number, error) }
                    number = next
                }
            }
            try await eventually {
                let number = try await store.appliedSequence().number
                if number < before + 5 {
                    throw StoreError.unavailable(store: "", problem: "not far enough")
                }
            }
            await server.killAll()
            let (last, error) = try await writing.value
            #expect(error?.kind == "unavailable", "round \(round): \(String(describing: error))")
            let down = await storeError { _ = try await store.appliedSequence() }
            #expect(down?.kind == "unavailable")
            try await server.start()
            let applied = try await eventually { try await store.appliedSequence() }.number
            // The answer to the last one may be what was lost.
            #expect(applied == last || applied == last + 1)
            #expect(try await store.count(RowQuery(dataset: "samples")) == Int(applied) * 100)
            let rows = try (0..<3).map { try Batch.row(Int64($0) + (applied + 1) * 100) }
            let stored = try await store.count(RowQuery(dataset: "samples"))
            try await store.apply(Batch.put(rows, after: applied, at: applied + 1))
            #expect(try await store.count(RowQuery(dataset: "samples")) == stored + 3)
            try await database.psql("DELETE FROM samples WHERE number >= \((applied + 1) * 100)")
            try await database.psql("UPDATE opsd.store SET applied = applied - 1")
        }
    }

    @Test func aServerThatIsStoppedIsNoticed() async throws {
        let server = try await PostgresServer()
        let database = try await TestDatabase(server)
        let store = try database.open(timeout: .seconds(1))
        let row = try Batch.row(1)
        try await store.apply(Batch.put([row], at: 1))
        server.freeze()
        let start = ContinuousClock.now
        // Over a connection that is open, and over a new one.
        for _ in 0..<2 {
            let error = await storeError { _ = try await store.appliedSequence() }
            #expect(error?.kind == "unavailable", "\(String(describing: error))")
        }
        let big = try (0..<20_000).map {
            try Batch.row($0, note: String(repeating: "x", count: 500))
        }
        let error = await storeError { try await store.apply(Batch.put(big, at: 2)) }
        #expect(error?.kind == "unavailable")
        #expect(ContinuousClock.now - start < .seconds(20))
        server.thaw()
        #expect(try await eventually { try await store.appliedSequence() } == Batch.at(1))
        #expect(try await store.count(RowQuery(dataset: "samples")) == 1)
    }

    /// One that is stopped while it has a connection's bytes to read.
    @Test func aServerThatIsStoppedInMidWriteIsNoticed() async throws {
        let server = try await PostgresServer()
        let database = try await TestDatabase(server)
        let store = try database.open(timeout: .seconds(2))
        _ = try await store.position()
        let big = try (0..<60_000).map {
            try Batch.row($0, note: String(repeating: "x", count: 500))
        }
        let batch = Batch.put(big, at: 1)
        let writing = Task { await storeError { try await store.apply(batch) } }
        try await eventually {
            let active = try await database.psql(
                "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'COPY \"samples\"%'")
            if active != "1" { throw StoreError.unavailable(store: "", problem: "not yet") }
        }
        server.freeze()
        #expect(await writing.value?.kind == "unavailable")
        server.thaw()
        #expect(try await eventually { try await store.count(RowQuery(dataset: "samples")) } == 0)
        #expect(try await store.appliedSequence() == .none)
    }

    @Test func aWrongPasswordIsRefusedAndNotRepeated() async throws {
        let database = try await TestDatabase()
        let wrong = try PostgresStore(
            database.settings(password: "not the p@ss"), schemas: RowStoreConformance.catalogue)
        let error = await storeError { _ = try await wrong.appliedSequence() }
        #expect(error?.kind == "refused", "\(String(describing: error))")
        #expect("\(String(describing: error))".contains("28P01"))
        #expect("\(String(describing: error))".contains("not the") == false)
        // One that is changed concerns new connections.
        let role = "r" + database.name
        try await database.psql(
            "CREATE ROLE \(role) LOGIN PASSWORD 'a'; ALTER DATABASE \(database.name) OWNER TO \(role)"
        )
        let store = try PostgresStore(
            database.settings(user: role, password: "a"), schemas: RowStoreConformance.catalogue)
        try await store.apply(Batch.put([try Batch.row(1)], at: 1))
        try await database.psql(
            "ALTER ROLE \(role) PASSWORD 'b'; SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '\(role)'"
        )
        var last: StoreError?
        for _ in 0..<2 { last = await storeError { _ = try await store.appliedSequence() } }
        #expect(last?.kind == "refused", "\(String(describing: last))")
        try await database.psql("ALTER ROLE \(role) PASSWORD 'a'")
        #expect(try await eventually { try await store.appliedSequence() } == Batch.at(1))
    }

    @Test func aDatabaseThatIsMadeAnewIsSaidToHaveMoved() async throws {
        let database = try await TestDatabase()
        let store = try database.open()
        try await store.apply(Batch.put([try Batch.row(1)], at: 1))
        try await database.server.psql("postgres", "DROP DATABASE \(database.name) WITH (FORCE)")
        _ = await storeError { _ = try await store.appliedSequence() }
        let gone = await storeError { _ = try await store.appliedSequence() }
        #expect(gone?.kind == "refused", "\(String(describing: gone))")
        #expect("\(String(describing: gone))".contains("create the database"))
        try await database.server.psql("postgres", "CREATE DATABASE \(database.name)")
        let next = Batch.put([try Batch.row(2)], after: 1, at: 2)
        let error = await storeError { try await eventually { try await store.apply(next) } }
        guard case .moved(_, let applied) = error else {
            Issue.record("\(String(describing: error))")
            return
        }
        #expect(applied == .none)
        #expect(try await store.position() == .empty)
        try await store.apply(Batch.put([try Batch.row(1)], after: 0, at: 1))
        try await store.apply(next)
        // The same without a connection being lost: only opsd's own tables go.
        try await database.psql("DROP SCHEMA opsd CASCADE; DROP TABLE samples, others")
        let again = await storeError {
            try await store.apply(Batch.put([try Batch.row(3)], after: 2, at: 3))
        }
        #expect(again == .moved(store: try database.settings().name, applied: .none))
    }

    @Test func anOlderDumpIsSaidToHaveMoved() async throws {
        let database = try await TestDatabase()
        let store = try database.open(tradingTables: true)
        try await store.apply(Batch.put([try Batch.row(1, note: "old")], at: 1))
        let folder = try TemporaryDirectory("dump")
        let url = database.server.url(database.name)
        try await database.server.tool(
            "pg_dump", ["-Fc", "-f", folder.path("dump"), "-d", url])
        try await store.apply(Batch.put([try Batch.row(1, note: "new")], after: 1, at: 2))
        try await database.server.psql("postgres", "DROP DATABASE \(database.name) WITH (FORCE)")
        try await database.server.psql("postgres", "CREATE DATABASE \(database.name)")
        try await database.server.tool("pg_restore", ["-d", url, folder.path("dump")])
        let next = Batch.put([try Batch.row(2)], after: 2, at: 3)
        let error = await storeError { try await eventually { try await store.apply(next) } }
        #expect(error == .moved(store: try database.settings().name, applied: Batch.at(1)))
        let rows = try await store.rows(RowQuery(dataset: "samples"))
        #expect(rows == [StampedRow(row: try Batch.row(1, note: "old"), sequence: Batch.at(1))])
        try await store.apply(Batch.put([try Batch.row(2)], after: 1, at: 2))
    }

    @Test(.enabled(if: geteuid() == 0, "only root may mount")) func aFullDiskHeals() async throws {
        let database = try await TestDatabase()
        let folder = try TemporaryDirectory("small")
        try await mount(["-t", "tmpfs", "-o", "size=8m,mode=0777", "tmpfs", folder.path])
        do {
            try await fullDisk(database, folder)
        } catch {
            try? await umount(folder.path)
            throw error
        }
        try await database.server.psql("postgres", "DROP DATABASE \(database.name) WITH (FORCE)")
        try await database.server.psql("postgres", "DROP TABLESPACE \(database.name)")
        try await umount(folder.path)
    }

    private func fullDisk(_ database: TestDatabase, _ folder: TemporaryDirectory) async throws {
        let store = try database.open()
        _ = try await store.position()
        try await run("chown", ["postgres", folder.path])
        try await database.psql(
            "CREATE TABLESPACE \(database.name) LOCATION '\(folder.path)'")
        try await database.psql("ALTER TABLE samples SET TABLESPACE \(database.name)")
        try await store.apply(Batch.put([try Batch.row(0)], at: 1))
        let text = String(repeating: "x", count: 1_000)
        let big = Batch.put(try (1..<20_000).map { try Batch.row($0, note: text) }, after: 1, at: 2)
        let error = await storeError { try await store.apply(big) }
        #expect(error?.kind == "unavailable", "\(String(describing: error))")
        #expect("\(String(describing: error))".contains("53100"))
        #expect(try await store.appliedSequence() == Batch.at(1))
        #expect(try await store.count(RowQuery(dataset: "samples")) == 1)
        try await mount(["-o", "remount,size=200m", folder.path])
        try await eventually { try await store.apply(big) }
        #expect(try await store.count(RowQuery(dataset: "samples")) == 20_000)
    }

    private func mount(_ arguments: [String]) async throws { try await run("mount", arguments) }
    private func umount(_ path: String) async throws { try await run("umount", ["-l", path]) }

    private func run(_ program: String, _ arguments: [String]) async throws {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
        process.arguments = [program] + arguments
        try process.run()
        process.waitUntilExit()
        try #require(process.terminationStatus == 0)
    }

    @Test func aConnectionLimitIsWaitedOut() async throws {
        let database = try await TestDatabase()
        let role = "r" + database.name
        try await database.psql(
            """
            CREATE ROLE \(role) LOGIN PASSWORD 'a' CONNECTION LIMIT 1;
            ALTER DATABASE \(database.name) OWNER TO \(role)
            """)
        let settings = try database.settings(user: role, password: "a", max: 1)
        let first = try PostgresStore(settings, schemas: RowStoreConformance.catalogue)
        try await first.apply(Batch.put([try Batch.row(1)], at: 1))
        let second = try PostgresStore(settings, schemas: RowStoreConformance.catalogue)
        let error = await storeError { _ = try await second.appliedSequence() }
        #expect(error?.kind == "unavailable", "\(String(describing: error))")
        #expect("\(String(describing: error))".contains("53300"))
        await first.close()
        #expect(try await eventually { try await second.appliedSequence() } == Batch.at(1))
    }

    @Test func aTableThatSomebodyDroppedIsNotTakenForAnEmptyOne() async throws {
        let database = try await TestDatabase()
        let store = try database.open()
        try await store.apply(Batch.put([try Batch.row(1)], at: 1))
        try await database.psql("DROP TABLE samples")
        for store in [store, try database.open()] {
            for attempt in 0..<4 {
                let error = await storeError {
                    switch attempt {
                    case 0: _ = try await store.rows(RowQuery(dataset: "samples"))
                    case 1:
                        _ = try await store.row(
                            RowKey(dataset: "samples", values: [.text("g"), .integer(1)]))
                    case 2: try await store.apply(Batch.put([try Batch.row(2)], at: 2))
                    default:
                        let rows = try (0..<100).map { try Batch.row($0) }
                        try await store.apply(Batch.put(rows, at: 2))
                    }
                }
                #expect(error?.kind == "refused")
                #expect("\(String(describing: error))".contains("opsd rebuild"))
            }
            #expect(try await store.count(RowQuery(dataset: "others")) == 0)
            #expect(try await store.appliedSequence() == Batch.at(1))
        }
        try await store.begin(["samples"])
        try await store.fill([StampedRow(row: try Batch.row(1), sequence: Batch.at(1))])
        #expect(try await store.count(RowQuery(dataset: "samples")) == 1)
    }

    @Test func aRowThatSomebodyChangedIsReadAsItLies() async throws {
        let database = try await TestDatabase()
        let store = try database.open()
        try await store.apply(Batch.put([try Batch.row(1)], at: 1))
        try await database.psql("UPDATE samples SET note = 'theirs'")
        let key = RowKey(dataset: "samples", values: [.text("g"), .integer(1)])
        let found = try await store.row(key)
        #expect(found == StampedRow(row: try Batch.row(1, note: "theirs"), sequence: Batch.at(1)))
    }

    @Test(arguments: [
        ("amount", "'NaN'"), ("amount", "'Infinity'"), ("amount", "1e40"), ("time", "'infinity'"),
        ("time", "'-infinity'"), ("detail", "'1e40'"),
    ]) func whatNoFieldCanHoldIsDamage(_ column: String, _ content: String) async throws {
        let database = try await TestDatabase()
        let store = try database.open()
        try await store.apply(Batch.put([try Batch.row(1)], at: 1))
        try await database.psql("UPDATE samples SET \(column) = \(content)")
        let error = await storeError { _ = try await store.rows(RowQuery(dataset: "samples")) }
        #expect(error?.kind == "damaged")
        #expect("\(String(describing: error))".contains(column))
    }

    @Test func aStandbyIsWaitedFor() async throws {
        let database = try await TestDatabase()
        let store = try database.open()
        try await store.apply(Batch.put([try Batch.row(1)], at: 1))
        try await database.psql(
            "ALTER DATABASE \(database.name) SET default_transaction_read_only = on")
        let other = try database.open()
        #expect(try await other.appliedSequence() == Batch.at(1))
        let error = await storeError {
            try await other.apply(Batch.put([try Batch.row(2)], at: 2))
        }
        #expect(error?.kind == "unavailable", "\(String(describing: error))")
    }
}
