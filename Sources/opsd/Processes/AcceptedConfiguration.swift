import Synchronization

/// The texts of the configuration that holds, for the built-in services, which ask for them at the
/// supervisor's socket when they start. They are in memory alone: account files may have their keys in
/// them as they stand, and a copy of a key is one more place to lose it from.
///
/// Under a lock: the socket's handler reads what a reload writes; it is held for the copy.
final class AcceptedConfiguration: Sendable {
    private let held: Mutex<ConfigurationTexts>

    init(_ texts: ConfigurationTexts) {
        held = Mutex(texts)
    }

    var texts: ConfigurationTexts { held.withLock { $0 } }

    func hold(_ texts: ConfigurationTexts) {
        held.withLock { $0 = texts }
    }
}
