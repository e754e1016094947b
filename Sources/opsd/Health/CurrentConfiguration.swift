import Synchronization

/// The configuration that holds now, for what reads it again each time.
final class CurrentConfiguration: Sendable {
    /// A lock: a configuration that was read again is put here while others look. It is held for a
    /// copy.
    private let content: Mutex<Configuration>

    init(_ configuration: Configuration) {
        content = Mutex(configuration)
    }

    var value: Configuration { content.withLock { $0 } }

    func replace(with configuration: Configuration) {
        content.withLock { $0 = configuration }
    }
}
