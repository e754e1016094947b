import Foundation
import StrictYAML

/// One entry of `health`: what is asked again and again, and how its answers are judged.
struct HealthCheckSettings: Sendable, Equatable {
    enum Probe: Sendable, Equatable {
        /// `status`: the one that is expected; nil: any from 200 to 299.
        case http(URL, status: Int?)
        case tcp(HostPort)
        /// A program and its arguments; exit code 0 is well.
        case command([String])
        /// The file system that the directory lies on.
        case disk(path: String, freeBelow: Margin)
        /// A file that something writes regularly.
        case fileAge(path: String, staleAfter: Duration)
        /// A process that opsd did not start, by the file that holds its number.
        case process(pidFile: String)
        /// A declared service runs and is ready.
        case service(String)
        /// A store of kind redis is asked.
        case store(StoreProbeSettings)
    }

    var name: String
    var probe: Probe
    var period = Duration.seconds(30)
    var timeout = Duration.seconds(5)
    /// So many failures in a row until it is unhealthy.
    var threshold = 3
    /// So many successes in a row until it is well again.
    var successThreshold = 1
    /// An answer that takes so long is degraded; nil: none is.
    var degradedFrom: Duration?
    /// Names of checks or services. While one of them is not well, this check is not a finding of
    /// its own.
    var dependsOn: [String] = []
}

/// What is asked of a store. The check has the store's own settings with it: it takes effect at once,
/// while those of the core wait for its restart.
struct StoreProbeSettings: Sendable, Equatable {
    enum Question: Sendable, Equatable {
        /// Whether it answers.
        case answers
        /// How much the worst of a stream's groups has before it.
        case backlog(stream: String, from: Int)
        /// How many rows of a dataset are old by their own time, or gone.
        case freshness(DatasetSettings, staleAfter: Duration, staleFrom: Int)
    }

    var store: StoreSettings
    var question: Question
}
