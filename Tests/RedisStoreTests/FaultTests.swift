import Foundation
import Ledger
import TestSupport
import Testing

@testable import RedisStore

/// What a server may do to a store, and what somebody beside it may do to its keys.
@Suite(.serialized, .enabled(if: RedisServer.isWanted, "redis-server is not installed"))
struct FaultTests {
    fileprivate func layouts() throws -> [RedisLayout] {
        try [Rows.positions, Rows.orders, Rows.quotes].map { try RedisLayouts.standard(for: $0) }
    }

    private func positions(_ quantity: Int, count: Int = 300) -> [Row] {
        (0..<count).map { Rows.position("A\($0 % 5)", "S\($0)", quantity) }
    }

    // MARK: - The server goes away

    @Test func aServerKilledInMidWriteIsBehindAndNeverAhead() async throws {
        let redis = try await Redis(["appendonly yes", "appendfsync everysec"])
        let store = try redis.store(try layouts(), timeout: .seconds(2), rowsMax: 40)
        var acknowledged: Int64 = 0
        let hasBegun = AsyncStream.makeStream(of: Void.self)
        let killing = Task {
            for await _ in hasBegun.stream { break }
            try await Task.sleep(for: .milliseconds(400))
            redis.server.kill()
        }
        do {
            for number in 1...100_000 {
                try await store.apply(Rows.batch(positions(number), at: Int64(number)))
                acknowledged = Int64(number)
                hasBegun.continuation.yield()
            }
        } catch StoreError.unavailable {}
        try await killing.value
        try await redis.server.start()
        let applied = try await store.appliedSequence().number
        #expect(acknowledged > 0)
        #expect(applied == acknowledged || applied == acknowledged + 1)
        var query = RowQuery(dataset: "positions")
        query.limit = .max
        for row in try await store.rows(query) {
            #expect(row.sequence.number >= applied, "a row is older than the applied sequence")
            #expect(row.row.values[2] == .decimal(ExactDecimal(Int(row.sequence.number))))
        }
        // The same entries again.
        for number in (applied + 1)...(acknowledged + 2) {
            try await store.apply(Rows.batch(positions(Int(number)), at: number))
        }
        let fresh = try await Redis()
        let other = try fresh.store(try layouts())
        try await other.apply(
            Rows.batch(positions(Int(acknowledged + 2)), at: acknowledged + 2))
        #expect(try await store.rows(query) == (try await other.rows(query)))
        #expect(try await store.position() == (try await other.position()))
    }

    @Test func aServerThatDoesNotAnswerIsUnknownAndHealsByItself() async throws {
        let redis = try await Redis()
        let store = try redis.store(try layouts(), timeout: .milliseconds(300))
        try await store.apply(Rows.batch(positions(1), after: SequenceNumber.none, at: 1))
        redis.server.freeze()
        let next = Rows.batch(positions(2), after: Rows.at(1), at: 2)
        for _ in 0..<2 {
            let error = await storeError { try await store.apply(next) }
            guard case .unavailable = error else {
                Issue.record("\(String(describing: error))")
                break
            }
        }
        redis.server.thaw()
        try await eventually { (try? await store.apply(next)) != nil }
        #expect(try await store.appliedSequence() == Rows.at(2))
        #expect(
            try await store.row(RowKey(dataset: "positions", values: [.text("A0"), .text("S0")]))?
                .row == Rows.position("A0", "S0", 2))
    }

    @Test func aServerThatIsStillLoadingIsUnknown() async throws {
        let redis = try await Redis([
            "key-load-delay 1000", "loading-process-events-interval-bytes 1024",
        ])
        let store = try redis.store(
            [try RedisLayout(Rows.orders, key: "o:{order_id}")], timeout: .seconds(2))
        let orders = (0..<1_500).map { Rows.order("o\($0)", "A", "working") }
        try await store.apply(Rows.batch(orders, at: 1))
        try await redis.run("SAVE")
        redis.server.kill()
        try await redis.server.start(untilReady: false)
        let error = await storeError {
            // The first answer is that the old connection is gone.
            _ = try? await store.position()
            _ = try await store.position()
        }
        guard case .unavailable(_, let problem) = error else {
            Issue.record("\(String(describing: error))")
            return
        }
        #expect(problem.contains("LOADING"))
        try await eventually { (try? await store.appliedSequence()) == Rows.at(1) }
    }

    @Test func fullMemoryIsUnavailableUntilThereIsRoom() async throws {
        let redis = try await Redis(["maxmemory-policy noeviction"])
        let store = try redis.store(try layouts())
        try await store.apply(Rows.batch(positions(1), at: 1))
        try await redis.run("CONFIG", "SET", "maxmemory", "1")
        let next = Rows.batch(positions(2), after: Rows.at(1), at: 2)
        let error = await storeError { try await store.apply(next) }
        guard case .unavailable(_, let problem) = error else {
            Issue.record("\(String(describing: error))")
            return
        }
        #expect(problem.contains("OOM") && problem.contains("maxmemory"))
        // Reading goes on.
        #expect(try await store.appliedSequence() == Rows.at(1))
        #expect(try await store.rows(RowQuery(dataset: "positions")).count == 100)
        try await redis.run("CONFIG", "SET", "maxmemory", "0")
        try await store.apply(next)
        #expect(try await store.appliedSequence() == Rows.at(2))
    }

    // MARK: - Who may come in

    @Test func aWrongPasswordIsRefusedAndNeverShown() async throws {
        let redis = try await Redis(["requirepass tulip-17"], password: "tulip-17")
        func problem(_ password: String?) async throws -> String? {
            let url = RedisURL(
                place: redis.socket.place, password: password.map { Secret($0) })
            let store = try redis.store(try layouts(), at: url)
            let error = await storeError { _ = try await store.position() }
            guard case .refused(_, let problem)? = error else { return error.map { "\($0)" } }
            return "refused: " + problem
        }
        #expect(try await problem("tulip-17") == nil)
        let missing = try #require(try await problem(nil))
        #expect(missing.hasPrefix("refused: NOAUTH") && missing.contains("url"))
        let wrong = try #require(try await problem("rose-99"))
        #expect(wrong.hasPrefix("refused: WRONGPASS") && !wrong.contains("rose-99"))
    }

    @Test func aChangedPasswordIsRefusedAtTheNextConnection() async throws {
        let redis = try await Redis(["requirepass old"], password: "old")
        func store(_ password: String) throws -> RedisStore {
            try redis.store(
                try layouts(),
                at: RedisURL(place: redis.socket.place, password: Secret(password)))
        }
        let old = try store("old")
        #expect(try await old.position() == .empty)
        try await redis.run("CONFIG", "SET", "requirepass", "new")
        try await redis.run("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
        let first = await storeError { _ = try await old.position() }
        guard case .unavailable? = first else {
            Issue.record("\(String(describing: first))")
            return
        }
        let second = await storeError { _ = try await old.position() }
        guard case .refused? = second else {
            Issue.record("\(String(describing: second))")
            return
        }
        #expect(try await store("new").position() == .empty)
        // A password where none is wanted.
        let open = try await Redis()
        let needless = try open.store(
            try layouts(), at: RedisURL(place: open.socket.place, password: Secret("x")))
        let third = await storeError { _ = try await needless.position() }
        guard case .refused(_, let problem)? = third else {
            Issue.record("\(String(describing: third))")
            return
        }
        #expect(problem.contains("take the password out"))
    }

    // MARK: - The store is not where it was left

    private func movedTo(_ store: RedisStore, after: Int64) async -> SequenceNumber? {
        let error = await storeError {
            try await store.apply(
                Rows.batch(positions(9), after: Rows.at(after), at: after + 1))
        }
        if case .moved(_, let applied)? = error { return applied }
        Issue.record("\(String(describing: error))")
        return nil
    }

    @Test func anEmptiedStoreIsNoticed() async throws {
        let redis = try await Redis()
        let store = try redis.store(try layouts())
        try await store.apply(Rows.batch(positions(1), after: SequenceNumber.none, at: 1))
        try await redis.run("FLUSHALL")
        #expect(await movedTo(store, after: 1) == SequenceNumber.none)
        #expect(try await redis.keys() == [])
    }

    @Test func aStoreFromAnOlderBackupIsNoticed() async throws {
        let redis = try await Redis()
        let store = try redis.store(try layouts())
        try await store.apply(Rows.batch(positions(1), at: 1))
        try await redis.run("SAVE")
        try await store.apply(Rows.batch(positions(2), after: Rows.at(1), at: 2))
        try await redis.server.restart()
        // What was connected to the old server is told so once.
        let next = Rows.batch([], after: Rows.at(2), at: 3)
        _ = await storeError { try await store.apply(next) }
        #expect(await movedTo(store, after: 2) == Rows.at(1))
    }

    @Test func aWriterBesideIsNoticed() async throws {
        let redis = try await Redis()
        let store = try redis.store(try layouts())
        try await store.apply(Rows.batch(positions(1), at: 1))
        try await redis.run("HSET", "opsd:store", "applied", Rows.at(7).description)
        #expect(await movedTo(store, after: 1) == Rows.at(7))
        try await redis.run("HSET", "opsd:store", "applied", "soon")
        let error = await storeError { _ = try await store.appliedSequence() }
        guard case .damaged? = error else {
            Issue.record("\(String(describing: error))")
            return
        }
    }

    @Test func ofTwoWritersOneGoesOnAtATime() async throws {
        let redis = try await Redis()
        let stores = try (0..<2).map { _ in try redis.store(try layouts(), rowsMax: 7) }
        try await stores[0].apply(Rows.batch([], at: 1))
        for round in Int64(1)...15 {
            let outcomes = await withTaskGroup(of: (Int, StoreError?).self) { group in
                for (index, store) in stores.enumerated() {
                    group.addTask {
                        let rows = [Rows.position("A", "W\(index)", Int(round))]
                        let batch = Rows.batch(
                            rows + positions(Int(round), count: 40), after: Rows.at(round * 2 - 1),
                            at: round * 2 + Int64(index))
                        return (index, await storeError { try await store.apply(batch) })
                    }
                }
                return await group.reduce(into: [(Int, StoreError?)]()) { $0.append($1) }
            }
            let winners = outcomes.filter { $0.1 == nil }.map(\.0)
            #expect(winners.count <= 1)
            for error in outcomes.compactMap(\.1) {
                if case .moved = error {} else { Issue.record("\(error)") }
            }
            let applied = try await stores[0].appliedSequence()
            if let winner = winners.first {
                #expect(applied == Rows.at(round * 2 + Int64(winner)))
            }
            try await redis.run(
                "HSET", "opsd:store", "applied", Rows.at(round * 2 + 1).description)
        }
    }

    // MARK: - Sentinel

    @Test(.timeLimit(.minutes(2))) func theSentinelsLeadToTheNewMaster() async throws {
        let first = try await Redis()
        let second = try await Redis(["replicaof 127.0.0.1 \(first.server.port)"])
        let sentinel = try await RedisServer(
            [
                "sentinel monitor desk 127.0.0.1 \(first.server.port) 1",
                "sentinel down-after-milliseconds desk 500",
                "sentinel failover-timeout desk 4000",
            ], mode: .sentinel)
        let url = try RedisURL("redis+sentinel://127.0.0.1:\(sentinel.port)/desk/0")
        let store = try first.store(try layouts(), at: url, timeout: .seconds(1))
        try await store.apply(Rows.batch(positions(1), after: SequenceNumber.none, at: 1))
        let question = RedisConnection(store: "sentinel")
        try await question.connect(toSocket: sentinel.socketPath, timeout: .seconds(5))
        try await eventually(within: .seconds(30)) {
            let replicas = try await question.send(RedisCommands("SENTINEL", "replicas", "desk"))
            let info = try await first.text("INFO", "replication") ?? ""
            return replicas.first?.elements?.count == 1 && info.contains("state=online")
        }
        let synced = try await first.run("WAIT", "1", "10000")
        #expect(synced == .integer(1))
        first.server.kill()
        var problems = Set<String>()
        try await eventually(within: .seconds(60)) {
            let error = await storeError {
                try await store.apply(Rows.batch(positions(2), after: Rows.at(1), at: 2))
            }
            if case .unavailable(_, let problem)? = error { problems.insert(problem) }
            return error == nil
        }
        #expect(!problems.isEmpty)
        // A server that becomes master closes the connections it had.
        let applied = try await Redis.connect(second.server).command(
            "HGET", "opsd:store", "applied")
        #expect(applied.text == Rows.at(2).description)
        let stranger = try first.store(
            try layouts(),
            at: try RedisURL("redis+sentinel://127.0.0.1:\(sentinel.port)/nobody/0"))
        let error = await storeError { _ = try await stranger.position() }
        guard case .refused(_, let problem)? = error else {
            Issue.record("\(String(describing: error))")
            return
        }
        #expect(problem.contains("nobody"))
    }
}

extension FaultTests {
    /// A server whose MGET is called SENTINEL answers as one, with what two keys hold.
    @Test(arguments: ["99999999999", "65536", "0", "-1", "no port"])
    func aSentinelThatNamesNoPortIsNoMaster(_ port: String) async throws {
        let sentinel = try await Redis(["rename-command MGET SENTINEL"])
        try await sentinel.run("SET", "get-master-addr-by-name", "127.0.0.1")
        try await sentinel.run("SET", "desk", port)
        let store = try sentinel.store(
            try layouts(),
            at: try RedisURL("redis+sentinel://127.0.0.1:\(sentinel.server.port)/desk/0"))
        let error = await storeError { _ = try await store.position() }
        guard case .unavailable(_, let problem)? = error else {
            Issue.record("\(String(describing: error))")
            return
        }
        #expect(problem.contains("it names the port '\(port)', which is none"))
    }

    @Test func aServerThatSaysItselfThatItIsAReplicaIsNotWritten() async throws {
        let (master, replica) = (try await Redis(), try await Redis())
        let sentinel = try await RedisServer(
            [
                "sentinel monitor desk 127.0.0.1 \(replica.server.port) 1",
                "sentinel down-after-milliseconds desk 60000",
            ], mode: .sentinel)
        let url = try RedisURL("redis+sentinel://127.0.0.1:1,127.0.0.1:\(sentinel.port)/desk/0")
        let store = try master.store(try layouts(), at: url)
        #expect(try await store.position() == .empty)
        let facts = try await RedisQuestions(name: "hot", url: url).facts()
        #expect(facts.watch == RedisFacts.Watch(sentinels: 1, quorum: 1))
        #expect(facts.settings["appendonly"] == "no" && facts.isOpen == true)
        #expect(facts.settings.count == RedisFacts.names.count && facts.version != nil)
        // Sentinel needs seconds to find this out.
        try await replica.run("REPLICAOF", "127.0.0.1", String(master.server.port))
        let error = await storeError { try await store.apply(Rows.batch([], at: 1)) }
        guard case .unavailable(_, let problem)? = error else {
            Issue.record("\(String(describing: error))")
            return
        }
        #expect(problem.contains("which is a slave") && problem.contains("refused"))
        // A connection from before is told by the server.
        let direct = try master.store(
            try layouts(), at: RedisURL(place: .socket(path: replica.server.socketPath)))
        let refusal = await storeError { try await direct.apply(Rows.batch([], at: 1)) }
        guard case .unavailable(_, let reason)? = refusal else {
            Issue.record("\(String(describing: refusal))")
            return
        }
        #expect(reason.hasPrefix("READONLY"))
    }
}

/// Waits until it is so; fails the test when it never is.
func eventually(
    within limit: Duration = .seconds(20), _ condition: () async throws -> Bool
) async throws {
    let deadline = ContinuousClock.now + limit
    while try await !condition() {
        guard ContinuousClock.now < deadline else {
            Issue.record("it did not come about within \(limit)")
            return
        }
        try await Task.sleep(for: .milliseconds(20))
    }
}
