import Foundation

/// A bound of time as it can hold here and now: longer by as much as there is more to run than there are
/// processors. What is promised of times is measured by tests that have the machine to themselves.
public func onThisMachine(_ bound: Duration) -> Duration {
    var averages = [0.0, 0.0, 0.0]
    guard getloadavg(&averages, 3) > 0 else { return bound }
    let processors = Double(max(1, ProcessInfo.processInfo.activeProcessorCount))
    return bound * max(1, averages[0] / processors)
}
