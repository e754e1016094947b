import PostgresStore
import RedisStore
import Testing

@testable import opsd

/// What is said of a server's settings, without a server.
@Suite struct StoreAdviceTests {
    private static let good = RedisFacts(
        version: "7.0.15",
        settings: [
            "save": "3600 1 300 100", "appendonly": "yes", "appendfsync": "everysec",
            "maxmemory": "1000000000", "maxmemory-policy": "noeviction", "port": "6379",
        ], isOpen: false)

    private func warnings(
        keepsRows: Bool = true, _ change: (inout RedisFacts) -> Void
    ) -> [String] {
        var facts = Self.good
        change(&facts)
        return RedisAdvice.of(facts, keepsRows: keepsRows).filter { $0.verdict == .warning }
            .map { $0.write ?? "" }
    }

    @Test func aServerThatIsSetUpAsRecommendedHasNoWarning() {
        let advice = RedisAdvice.of(Self.good, keepsRows: true)
        #expect(advice.allSatisfy { $0.verdict == .ok && $0.write == nil })
        #expect(
            advice.map(\.setting) == [
                "save", "appendonly", "appendfsync", "maxmemory", "maxmemory-policy",
                "requirepass",
            ])
    }

    @Test func eachSettingThatIsNotHasTheLineToWrite() {
        #expect(warnings { $0.settings["save"] = "" } == ["save 3600 1"])
        #expect(warnings { $0.settings["save"] = "900 10 7200 1" } == ["save 3600 1"])
        #expect(warnings { $0.settings["save"] = "7200 1 60 1" }.isEmpty)
        #expect(warnings { $0.settings["appendonly"] = "no" } == ["appendonly yes"])
        #expect(warnings { $0.settings["appendfsync"] = "no" } == ["appendfsync everysec"])
        #expect(warnings { $0.settings["appendfsync"] = "always" }.isEmpty)
        #expect(warnings { $0.settings["maxmemory"] = "0" } == ["maxmemory 512mb"])
        #expect(
            warnings { $0.settings["maxmemory-policy"] = "allkeys-lru" }
                == ["maxmemory-policy noeviction"])
        #expect(warnings { $0.isOpen = true }.first?.hasPrefix("requirepass") == true)
        #expect(
            warnings {
                $0.isOpen = true
                $0.settings["port"] = "0"
            }.isEmpty, "a Unix socket is protected by its folder")
    }

    @Test func aPureCacheNeedsNoDiskAndMayEvict() {
        let policies = ["noeviction", "allkeys-lru", "volatile-ttl"]
        let found = policies.map { policy in
            warnings(keepsRows: false) {
                $0.settings["save"] = ""
                $0.settings["appendonly"] = "no"
                $0.settings["maxmemory-policy"] = policy
            }
        }
        #expect(found == [["maxmemory-policy allkeys-lru"], [], []])
    }

    @Test func whatTheServerDoesNotSayIsUnknown() {
        let advice = RedisAdvice.of(RedisFacts(), keepsRows: true)
        #expect(advice.count == 6 && advice.allSatisfy { $0.verdict == .unknown })
    }

    @Test(arguments: [(3, 2, true), (5, 3, true), (1, 1, false), (3, 1, false), (3, 3, false)])
    func threeSentinelsOfWhomTwoAgreeAreWell(_ count: Int, _ quorum: Int, _ isWell: Bool) {
        let found = warnings { $0.watch = RedisFacts.Watch(sentinels: count, quorum: quorum) }
        #expect(found.isEmpty == isWell)
    }

    @Test func aDatabaseIsComparedWithTheMigrationsOfThisVersion() {
        func advice(_ done: [Int]?, version: Int = 150_008) -> [StoreAdvice.Verdict] {
            PostgresAdvice.of(
                PostgresFacts(
                    version: "15.8", versionNumber: version, migrations: done,
                    knownMigrations: [1, 2, 3])
            ).map(\.verdict)
        }
        #expect(advice(nil) == [.ok, .ok])
        #expect(advice([1, 2, 3]) == [.ok, .ok])
        #expect(advice([1]) == [.ok, .ok], "the core applies the rest")
        #expect(advice([1, 2, 3, 4]) == [.ok, .warning])
        #expect(advice([1], version: 120_001) == [.warning, .ok])
    }
}
