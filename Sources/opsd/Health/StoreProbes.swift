import Connections
import Control
import Foundation
import Ledger
import RedisStore

/// Carries out the checks of stores: over a connection that is made for the question and closed behind
/// it. So the daemon holds none, and knows of a store also while the core is down.
actor StoreProbes {
    private var memories: [HealthCheckName: FreshnessMemory] = [:]

    func run(
        _ probe: StoreProbeSettings, check: HealthCheckName, timeout: Duration
    ) async -> ProbeOutcome {
        let name = probe.store.name
        do {
            let url = try RedisURL(probe.store.url?.reveal() ?? "")
            let questions = RedisQuestions(name: name, url: url, timeout: timeout)
            switch probe.question {
            case .answers:
                try await questions.ping()
                return .success("\(name) answers")
            case .backlog(let stream, let from):
                guard let groups = try await questions.groups(of: stream, upTo: from) else {
                    return .failure("\(name) has no stream '\(stream)'")
                }
                return StoreProbe.judge(
                    stream: stream, groups: groups.map { ($0.name, $0.waiting) }, from: from)
            case .freshness(let dataset, let staleAfter, let staleFrom):
                let rows = try await Self.times(of: dataset, in: probe.store, url, timeout)
                return memories[check, default: FreshnessMemory()].judge(
                    dataset.name, rows: rows, now: .now(), staleAfter: staleAfter, from: staleFrom)
            }
        } catch let error as StoreError {
            return Self.judge(error)
        } catch {
            return .unknown("\(name): \(error)")
        }
    }

    /// Whoever relies on the store fares as badly with a refusal. That opsd lacks descriptors tells
    /// nothing of the store.
    static func judge(_ error: StoreError) -> ProbeOutcome {
        let text = error.description
        let own = [EMFILE, ENFILE, ENOMEM].map { String(cString: strerror($0)) }
        return own.contains(where: text.contains) ? .unknown(text) : .failure(text)
    }

    private static func times(
        of dataset: DatasetSettings, in store: StoreSettings, _ url: RedisURL, _ timeout: Duration
    ) async throws -> [String: Timestamp] {
        guard let schema = dataset.schema, let field = schema.timeField else { return [:] }
        let redis = try RedisStore(
            name: store.name, url: url,
            layouts: [OpenStores.redisLayout(schema, dataset.layout[store.name])],
            limits: PoolLimits(min: 0, max: 1, acquireTimeout: timeout), timeout: timeout)
        var query = RowQuery(dataset: schema.dataset)
        query.limit = .max
        let rows: [StampedRow]
        do throws(StoreError) {
            rows = try await redis.rows(query)
        } catch {
            await redis.close()
            throw error
        }
        await redis.close()
        let times = rows.map { stamped in
            let key = stamped.row.key(in: schema).values
                .map { $0.plainText ?? "" }.joined(separator: " ")
            // A row without a time is as old as can be.
            guard case .timestamp(let time) = stamped.row.values[field] else {
                return (key, Timestamp(microseconds: 0))
            }
            return (key, time)
        }
        return Dictionary(times, uniquingKeysWith: { first, _ in first })
    }
}

extension StoreProbeSettings {
    var ofControl: StoreProbe {
        let question: StoreProbe.Question =
            switch self.question {
            case .answers: .answers
            case .backlog(let stream, let from): .backlog(stream: stream, from: from)
            case .freshness(let dataset, let staleAfter, let staleFrom):
                .freshness(dataset: dataset.name, staleAfter: staleAfter, from: staleFrom)
            }
        return StoreProbe(store: store.name, question: question)
    }
}
