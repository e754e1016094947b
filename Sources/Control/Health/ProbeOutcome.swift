/// What one run of a probe brought.
///
/// A failure is an answer that is not the wanted one, also the answer that the thing is not there: a
/// name that does not resolve, a file that does not exist, a port that refuses, no answer in time.
/// Whoever relies on the thing fares just as badly. `unknown` says that opsd itself could not ask:
/// no descriptors left, no permission to look, a program for the check that cannot be started. It
/// tells nothing of the thing.
public enum ProbeOutcome: Sendable, Equatable {
    case success(String)
    /// It answers, and less well than it should.
    case degraded(String)
    case failure(String)
    case unknown(String)

    /// For people, one line, without secrets.
    public var message: String {
        switch self {
        case .success(let text), .degraded(let text), .failure(let text), .unknown(let text): text
        }
    }

    public var word: String {
        switch self {
        case .success: "success"
        case .degraded: "degraded"
        case .failure: "failure"
        case .unknown: "unknown"
        }
    }

    /// A success that was slow is degraded.
    func judged(duration: Duration, degradedFrom: Duration?) -> ProbeOutcome {
        guard case .success(let text) = self, let degradedFrom, duration >= degradedFrom else {
            return self
        }
        let slow =
            "took \(DurationText.short(duration)), degraded from "
            + DurationText.short(degradedFrom)
        return .degraded(text.isEmpty ? slow : "\(text); \(slow)")
    }
}
