/// Work of which one piece a key is under way at a time: who asks meanwhile waits for that one.
actor OneAtATime<Key: Hashable & Sendable, Value: Sendable> {
    private var running: [Key: Task<Value, Never>] = [:]

    /// The work goes on when whoever asked for it first is cancelled: others may wait for it.
    func value(of key: Key, _ work: @escaping @Sendable () async -> Value) async -> Value {
        if let task = running[key] { return await task.value }
        let task = Task { await work() }
        running[key] = task
        let value = await task.value
        running[key] = nil
        return value
    }
}
