internal import CoreMetrics
internal import Synchronization

// The numbers behind the handles that swift-metrics gives out. Each is a few atomics, changed
// without a lock; relaxed order is enough because no series promises anything about another one.

/// A number that only grows, in whole steps and in fractions. Kept apart, so that a counter of
/// whole steps stays exact.
final class CounterSeries: CounterHandler, FloatingPointCounterHandler {
    let family: String
    let labels: LabelText
    /// `name{labels} `, ready to be copied into the exposition.
    let head: [UInt8]
    private let whole = Atomic<UInt64>(0)
    private let fraction = Atomic<UInt64>(Double(0).bitPattern)

    init(family: String, labels: LabelText) {
        self.family = family
        self.labels = labels
        head = SeriesText.head(name: family, labels: labels)
    }

    func increment(by amount: Int64) {
        // A counter never falls: a negative amount is a caller's mistake and changes nothing.
        guard amount > 0 else { return }
        whole.wrappingAdd(UInt64(amount), ordering: .relaxed)
    }

    func increment(by amount: Double) {
        guard amount > 0, amount.isFinite else { return }
        fraction.addDouble(amount)
    }

    func reset() {
        whole.store(0, ordering: .relaxed)
        fraction.store(Double(0).bitPattern, ordering: .relaxed)
    }

    func write(to text: inout TextBuffer) {
        text.append(head)
        let whole = whole.load(ordering: .relaxed)
        let fraction = Double(bitPattern: fraction.load(ordering: .relaxed))
        if fraction == 0 {
            text.append(integer: whole)
        } else {
            text.append(number: Double(whole) + fraction)
        }
        text.append(byte: UInt8(ascii: "\n"))
    }
}

/// A number that goes up and down.
final class GaugeSeries: RecorderHandler, MeterHandler {
    let family: String
    let labels: LabelText
    let head: [UInt8]
    private let bits = Atomic<UInt64>(Double(0).bitPattern)

    init(family: String, labels: LabelText) {
        self.family = family
        self.labels = labels
        head = SeriesText.head(name: family, labels: labels)
    }

    func record(_ value: Int64) { set(Double(value)) }
    func record(_ value: Double) { set(value) }
    func set(_ value: Int64) { set(Double(value)) }
    func set(_ value: Double) { bits.store(value.bitPattern, ordering: .relaxed) }
    func increment(by amount: Double) { bits.addDouble(amount) }
    func decrement(by amount: Double) { bits.addDouble(-amount) }

    func write(to text: inout TextBuffer) {
        text.append(head)
        text.append(number: Double(bitPattern: bits.load(ordering: .relaxed)))
        text.append(byte: UInt8(ascii: "\n"))
    }
}

enum SeriesText {
    static func head(name: String, labels: LabelText) -> [UInt8] {
        var text = TextBuffer()
        text.append(name)
        if !labels.bytes.isEmpty {
            text.append("{")
            text.append(labels.bytes)
            text.append("}")
        }
        text.append(" ")
        return text.bytes
    }
}

extension Atomic where Value == UInt64 {
    /// Adds to the double whose bits are kept here.
    func addDouble(_ amount: Double) {
        var expected = load(ordering: .relaxed)
        while true {
            let desired = (Double(bitPattern: expected) + amount).bitPattern
            let (exchanged, original) = weakCompareExchange(
                expected: expected, desired: desired, ordering: .relaxed)
            if exchanged { return }
            expected = original
        }
    }
}
