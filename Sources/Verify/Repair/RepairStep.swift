internal import Ledger

/// What became of a row of a plan.
public enum RepairOutcome: String, Sendable, Hashable, Codable, CaseIterable {
    /// Written as it was journaled, and read back.
    case repaired
    /// Journaled as it was found.
    case adopted
    /// It is not as it was when the plan was made, or its row was journaled anew: left alone.
    case overtaken
    /// Written, and not as journaled when it was read back.
    case failed
    /// Put back as it was found.
    case undone
    /// Written by somebody else since it was repaired: left alone.
    case newer
}

/// What a look at one row has found. Where the store stands was asked first, and what was journaled last.
struct RowLook: Sendable {
    /// Everything up to here is in the store.
    let applied: SequenceNumber
    let image: RowImage
    let found: FoundRow?
    let journaled: JournaledRow
}

/// What is to be done with a row now.
enum RepairStep: Equatable {
    /// Put in place of the image that was looked at.
    case replace(StampedRow?)
    /// Journal it, over the entry that changed it last.
    case adopt(StampedRow, over: SequenceNumber?)
    case lookAgain
    case settled(RepairOutcome)
}

/// Decides about one row, look by look, until it is settled: a plain value, without a clock or a store.
///
/// What keeps newer writes safe:
/// - a row is written only in place of the very image that was looked at, so whoever writes after the look
///   has written for good;
/// - what was journaled is read after the image. So an entry that is not seen comes to the store after the
///   image, and changes it: the write fails, or it comes later and writes over what was repaired;
/// - but for one: an entry that deletes a row which is missing changes nothing. Therefore each row is looked
///   at once more after it was written, and one that was put back and is journaled as deleted goes again.
struct RowRepair: Sendable {
    let planned: PlannedRow
    let adopts: Bool
    let schema: Schema
    let digestKey: SipHashKey
    /// What lay there, once that is on disk. It was so when the plan was made.
    var noted: RowImage?
    /// What lay there after it was replaced, as the store said; nil where that is not known.
    var written: RowImage?

    func step(_ look: RowLook) -> RepairStep {
        let found = RowMark(look.found, schema, digestKey)
        let journaled = RowMark(look.journaled, schema, digestKey)
        guard let noted else {
            let isDue = look.journaled.sequence.map { $0 <= look.applied } ?? true
            let isAsPlanned = found == planned.found && journaled == planned.journaled
            return isDue && isAsPlanned ? write(look) : .settled(.overtaken)
        }
        if journaled != planned.journaled {
            if isAdopting, journaled?.digest == planned.found?.digest { return .settled(.adopted) }
            if journaled == nil, found == planned.journaled { return .replace(nil) }
            return .settled(.overtaken)
        }
        if found == planned.journaled {
            // The image is older than what was found: something was written between the two.
            return look.image == noted ? .lookAgain : .settled(.repaired)
        }
        if look.image == noted { return write(look) }
        return .settled(look.image == written ? .failed : .overtaken)
    }

    private var isAdopting: Bool { adopts && planned.isForeignWrite }

    private func write(_ look: RowLook) -> RepairStep {
        if isAdopting, case .row(let stamped)? = look.found {
            return .adopt(stamped, over: look.journaled.row == nil ? nil : look.journaled.sequence)
        }
        return .replace(
            look.journaled.row.map {
                StampedRow(row: $0, sequence: look.journaled.sequence ?? .none)
            })
    }
}

/// Decides about one repaired row that is to be as it was found: a plain value.
struct RowUndo: Sendable {
    let before: RowImage
    /// The keyed hash of what the repair left there.
    let after: String
    let digestKey: SipHashKey
    /// What lay there after it was replaced, as the store said.
    var written: RowImage?

    /// Nil: put the image of before in its place.
    func outcome(_ image: RowImage) -> RepairOutcome? {
        if image == before { return .undone }
        if digestKey.words(image.bytes) == after { return nil }
        return image == written ? .failed : .newer
    }
}
