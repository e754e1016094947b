/// Tries again while a guard refuses, until a time is over. It holds no thread while it waits.
struct Patience {
    private let deadline: ContinuousClock.Instant

    init(limit: Duration) {
        deadline = ContinuousClock.now + limit
    }

    func retry<Result>(
        _ attempt: () async throws(CommandFailure) -> Result
    ) async throws(CommandFailure) -> Result {
        while true {
            do {
                return try await attempt()
            } catch {
                guard error.status == .refused, ContinuousClock.now < deadline, !Task.isCancelled
                else { throw error }
            }
            try? await Task.sleep(for: .milliseconds(50))
        }
    }
}
