import Ledger
import TradingHTTP

/// What `opsd check` says of the servers: lines for people, the same for programs, and the exit code.
struct StoreExaminationReport {
    let outcomes: [StoreExamination.Outcome]

    var lines: [String] {
        outcomes.flatMap { outcome in
            ["store \(outcome.store.name) (\(outcome.store.kind.rawValue)):"]
                + lines(of: outcome.found)
        }
    }

    private func lines(of found: Result<[StoreAdvice], StoreError>) -> [String] {
        switch found {
        case .failure(let error): ["  could not tell: \(error)"]
        case .success(let advice):
            advice.map { advice in
                let mark = advice.verdict == .unknown ? "could not tell" : advice.verdict.rawValue
                return "  \(mark)  \(advice.setting): \(advice.says)"
                    + (advice.write.map { "; write: \($0)" } ?? "")
            }
        }
    }

    func write(_ json: inout JSONWriter) {
        json.name("stores")
        json.array(outcomes) { json, outcome in
            json.object { json in
                json.member("store", outcome.store.name)
                json.member("kind", outcome.store.kind.rawValue)
                let advice = (try? outcome.found.get()) ?? []
                if case .failure(let error) = outcome.found {
                    json.member("problem", "\(error)")
                }
                json.name("settings")
                json.array(advice) { json, advice in
                    json.object { json in
                        json.member("setting", advice.setting)
                        json.member("verdict", advice.verdict.rawValue)
                        json.member("says", advice.says)
                        json.member("write", advice.write)
                    }
                }
            }
        }
    }

    /// Nil when every server answered and is as recommended.
    var failure: CommandFailure? {
        func names(_ status: ExitStatus) -> [String] {
            outcomes.filter { $0.status == status }.map(\.store.name)
        }
        let (unknown, found) = (names(.unknown), names(.found))
        if !unknown.isEmpty {
            return CommandFailure(.unknown, "could not tell of: \(unknown.joined(separator: ", "))")
        }
        if !found.isEmpty {
            return CommandFailure(
                .found, "not as recommended: \(found.joined(separator: ", "))")
        }
        return nil
    }
}
