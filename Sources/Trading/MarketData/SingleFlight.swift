internal import Synchronization

/// One piece of work for all who ask for the same thing at one time.
///
/// The lock is held to look the work up or to put it down; it is there because whoever asks next, on
/// whatever thread, must find it.
final class SingleFlight<Key: Hashable & Sendable, Value: Sendable>: Sendable {
    private let running = Mutex<[Key: Task<Value, Never>]>([:])

    func value(_ key: Key, _ work: @escaping @Sendable () async -> Value) async -> Value {
        let task = running.withLock { running in
            if let task = running[key] { return task }
            let task = Task {
                let value = await work()
                self.running.withLock { $0[key] = nil }
                return value
            }
            running[key] = task
            return task
        }
        return await task.value
    }
}
