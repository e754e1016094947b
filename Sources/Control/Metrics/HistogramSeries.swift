internal import CoreMetrics
internal import Synchronization

/// The bounds of a family's buckets, shared by its series.
struct HistogramBounds: Sendable {
    let values: [Double]
    /// The same bounds in nanoseconds, so that a timer compares integers.
    let nanoseconds: [Int64]
    /// `0.005"} ` for each bound and `+Inf"} ` at the end, ready to be copied. Always with a point
    /// (`1.0`): OpenMetrics demands it, and one spelling keeps the series the same in both formats.
    let tails: [[UInt8]]

    init(_ bounds: [Double]) {
        values = bounds
        nanoseconds = bounds.map { bound in
            let scaled = (bound * 1_000_000_000).rounded()
            return Int64(exactly: scaled) ?? (scaled < 0 ? .min : .max)
        }
        tails = (bounds.map(\.description) + ["+Inf"]).map { Array("\($0)\"} ".utf8) }
    }
}

/// A distribution: counts by bucket, and the sum. Takes durations from timers and plain values from
/// recorders; the durations' sum stays a whole number of nanoseconds until it is printed.
///
/// `_count` is the sum of the buckets as they were read, so `+Inf` equals it always; `_sum` may be
/// one observation ahead or behind while others are recording.
///
/// Unchecked: the counters lie in memory of this object's own, which no array of `Atomic` can offer.
/// The pointer never changes, and what it points to is touched through atomics only.
final class HistogramSeries: TimerHandler, RecorderHandler, @unchecked Sendable {
    let family: String
    let labels: LabelText
    private let bounds: HistogramBounds
    private let bucketHead: [UInt8]
    private let sumHead: [UInt8]
    private let countHead: [UInt8]
    private let counts: UnsafeMutablePointer<Atomic<UInt64>>
    private let sumNanoseconds = Atomic<Int64>(0)
    private let sumValues = Atomic<UInt64>(Double(0).bitPattern)

    init(family: String, labels: LabelText, bounds: HistogramBounds) {
        self.family = family
        self.labels = labels
        self.bounds = bounds
        var head = TextBuffer()
        head.append("\(family)_bucket{")
        head.append(labels.bytes)
        head.append(labels.bytes.isEmpty ? "le=\"" : ",le=\"")
        bucketHead = head.bytes
        sumHead = SeriesText.head(name: "\(family)_sum", labels: labels)
        countHead = SeriesText.head(name: "\(family)_count", labels: labels)
        counts = .allocate(capacity: bounds.values.count + 1)
        for index in 0...bounds.values.count {
            (counts + index).initialize(to: Atomic(0))
        }
    }

    deinit {
        counts.deinitialize(count: bounds.values.count + 1)
        counts.deallocate()
    }

    /// A negative duration is a clock that was set back: it counts as zero.
    func recordNanoseconds(_ duration: Int64) {
        let duration = max(0, duration)
        var index = 0
        while index < bounds.nanoseconds.count, duration > bounds.nanoseconds[index] { index &+= 1 }
        counts[index].wrappingAdd(1, ordering: .relaxed)
        sumNanoseconds.wrappingAdd(duration, ordering: .relaxed)
    }

    func record(_ value: Int64) { record(Double(value)) }

    func record(_ value: Double) {
        var index = 0
        // Written this way round so that NaN, which no bound contains, lands in +Inf.
        while index < bounds.values.count, !(value <= bounds.values[index]) { index &+= 1 }
        counts[index].wrappingAdd(1, ordering: .relaxed)
        sumValues.addDouble(value)
    }

    func write(to text: inout TextBuffer) {
        var cumulative: UInt64 = 0
        for index in 0...bounds.values.count {
            cumulative &+= counts[index].load(ordering: .relaxed)
            text.append(bucketHead)
            text.append(bounds.tails[index])
            text.append(integer: cumulative)
            text.append(byte: UInt8(ascii: "\n"))
        }
        text.append(sumHead)
        writeSum(to: &text)
        text.append(byte: UInt8(ascii: "\n"))
        text.append(countHead)
        text.append(integer: cumulative)
        text.append(byte: UInt8(ascii: "\n"))
    }

    private func writeSum(to text: inout TextBuffer) {
        let nanoseconds = sumNanoseconds.load(ordering: .relaxed)
        let values = Double(bitPattern: sumValues.load(ordering: .relaxed))
        if values == 0 {
            text.append(nanosecondsAsSeconds: nanoseconds)
        } else {
            text.append(number: Double(nanoseconds) / 1_000_000_000 + values)
        }
    }
}
