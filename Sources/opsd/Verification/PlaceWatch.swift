import Foundation
import Ledger
import Logging
import Verify

/// Watches one dataset in one store: each change as soon as the store has it, and all rows again and
/// again. What it finds is in the book within a second, and gone from it when it is mended.
actor PlaceWatch {
    let place: Verification.Place
    private let check: DatasetCheck
    /// Of two sets of connections, so that reading all rows keeps no change waiting.
    private let following: StoreCheck
    private let scrubbing: StoreCheck
    private let pace: ScrubPace
    private let progress: VerificationProgress
    private let page: PlacePage
    private let logger: Logger
    /// Hands in what was found, and says what became of it; nil while that is not known. Nil: nothing is
    /// to be done about it.
    private let repair: Repair?

    typealias Repair = @Sendable (CheckReport) async -> String?

    /// What the walk has found, for the follower to watch.
    private var handed: [Difference] = []

    /// When the journaled rows were found to add up.
    private var wholeAt: ContinuousClock.Instant?

    private static let wholeFor = Duration.seconds(60)
    private static let repairPause = Duration.seconds(1)
    private static let repairPausesMax = 10
    private static let stepPause = Duration.milliseconds(100)
    /// Of what one step has found, so much is logged.
    private static let loggedMax = 20

    init(
        _ place: Verification.Place, _ check: DatasetCheck, cycle: Duration,
        following: StoreCheck, scrubbing: StoreCheck, progress: VerificationProgress,
        page: PlacePage, logger: Logger, repair: Repair? = nil
    ) {
        self.place = place
        self.check = check
        self.following = following
        self.scrubbing = scrubbing
        self.progress = progress
        self.page = page
        self.repair = repair
        pace = ScrubPace(cycle: cycle)
        var logger = logger
        logger[metadataKey: "place"] = "\(place.dataset) in \(place.store)"
        self.logger = logger
    }

    /// Until the task is cancelled.
    /// - Parameter start: the entry after which changes are looked at.
    func run(after start: SequenceNumber) async {
        await progress.update(place) { [pace] in
            $0 = $0 ?? VerificationProgress.Place(begun: 0, cycleSeconds: pace.cycleSeconds)
        }
        handed += await page.adopt()
        await withDiscardingTaskGroup { group in
            group.addTask { await self.follow(after: start) }
            group.addTask { await self.scrub() }
            if let repair = self.repair { group.addTask { await self.handIn(repair) } }
            group.addTask {
                while !Task.isCancelled {
                    await self.take(await self.page.write())
                    try? await Task.sleep(for: Self.stepPause)
                }
            }
        }
        _ = await page.write(isLast: true)
    }

    /// Found by others, or by the walk.
    private func take(_ differences: [Difference]) { handed += differences }

    private func hand() -> [Difference] {
        defer { handed = [] }
        return handed
    }

    // MARK: Changes

    private func follow(after start: SequenceNumber) async {
        var follower = ChangeFollower(following, after: check.follow ? start : nil)
        var problem: String?
        while !Task.isCancelled {
            let watched = hand()
            follower.watch(watched)
            let step = await follower.step()
            guard !Task.isCancelled else { break }
            log(step)
            await page.take(step, watched: watched.count, follower.open)
            if step.problem != problem {
                logger.log(
                    level: step.problem == nil ? .notice : .warning,
                    "\(step.problem.map { "cannot be looked at: \($0)" } ?? "can be looked at again")"
                )
            }
            problem = step.problem
            if let settled = follower.settled {
                await progress.update(place) { $0?.followed = settled.rawValue }
            }
            try? await Task.sleep(for: Self.stepPause)
        }
    }

    private func log(_ step: ChangeFollower.Step) {
        for difference in step.found.prefix(Self.loggedMax) {
            let name = difference.key?.description ?? difference.dataset
            logger.warning("\(difference.verdict.rawValue) \(name): \(difference.problem)")
        }
        let more = step.found.count - Self.loggedMax
        if more > 0 { logger.warning("and \(more) more rows that are not as journaled") }
        if !step.mended.isEmpty {
            let names = step.mended.prefix(3).compactMap { $0.key?.description }
            logger.notice(
                "as journaled again: \(step.mended.count) of those found",
                metadata: ["first": "\(names.joined(separator: " "))"])
        }
    }

    // MARK: What becomes of it

    /// What is open is handed in once it stays the same for a second, so that one plan has what one fault
    /// did; and again only when there is more.
    private func handIn(_ repair: Repair) async {
        var considered: Set<VerificationBook.Page.OpenRow> = []
        var last = considered
        var waited = 0
        while !Task.isCancelled {
            try? await Task.sleep(for: Self.repairPause)
            let open = await page.repairable
            guard !open.isSubset(of: considered) else {
                considered.formIntersection(open)
                continue
            }
            waited += 1
            guard open == last || waited >= Self.repairPausesMax else {
                last = open
                continue
            }
            waited = 0
            let report = await scrubbing.examine(
                open.compactMap { RowKey(base64: $0.key) }.sorted { $0.base64 < $1.base64 })
            guard report.outcome == .found, await problemOfTheJournaled() == nil else { continue }
            guard let said = await repair(report) else { continue }
            logger.notice("\(said)")
            considered = open
        }
    }

    // MARK: All rows

    private func scrub() async {
        while !Task.isCancelled { await cycle() }
    }

    /// One cycle, or the rest of one.
    private func cycle() async {
        let begun = await begin()
        guard let begun else { return await pauseForTrouble() }
        while !Task.isCancelled {
            guard let now = await progress[place] else { return }
            if now.isAmongStrays { break }
            await lookAtSome(now)
        }
        guard !Task.isCancelled, await lookForStrays() else { return }
        await page.endCycle(begun: begun)
        let left = pace.shortest - Self.since(begun)
        if left > .zero { try? await Task.sleep(for: left) }
        if !Task.isCancelled { await progress.update(place) { $0?.begun = 0 } }
    }

    /// Carries the present cycle on, or begins one: when it was begun; nil when that is not possible now.
    private func begin() async -> Timestamp? {
        let count: Int
        do throws(StoreError) {
            count = try await scrubbing.journaledCount()
        } catch {
            await stall(error.description)
            return nil
        }
        let now = Timestamp.now()
        let problem = pace.problem(rows: count)
        if let problem { logger.warning("\(problem)") }
        await progress.update(place) { [pace] entry in
            guard var place = entry else { return }
            if place.begun == 0 {
                (place.begun, place.after, place.isAmongStrays) = (now.microseconds, nil, false)
                (place.done, place.strays) = (0, 0)
            }
            place.cycleSeconds = pace.cycleSeconds
            place.rows = count
            place.problem = problem
            entry = place
        }
        return await progress[place].map { Timestamp(microseconds: $0.begun) }
    }

    private static func since(_ time: Timestamp) -> Duration {
        .microseconds(Timestamp.now().microseconds - time.microseconds)
    }

    private func stall(_ problem: String) async {
        await page.stall(problem)
        await progress.update(place) { $0?.problem = problem }
    }

    private func pauseForTrouble() async {
        try? await Task.sleep(for: .seconds(1))
    }

    /// The next page of the journaled rows.
    private func lookAtSome(_ now: VerificationProgress.Place) async {
        let start = ContinuousClock.now
        let elapsed = Self.since(Timestamp(microseconds: now.begun))
        let (rows, pause) = pace.page(
            rows: now.rows, rest: now.rows - now.done, elapsed: elapsed)
        let keys: [RowKey]
        do throws(StoreError) {
            keys = try await scrubbing.keys(
                after: now.after.flatMap { RowKey(base64: $0) }, limit: rows)
        } catch {
            await stall(error.description)
            return await pauseForTrouble()
        }
        guard let last = keys.last else {
            return await progress.update(place) { $0?.isAmongStrays = true }
        }
        let report = await scrubbing.examine(keys)
        guard !Task.isCancelled else { return }
        guard await note(report) else { return await pauseForTrouble() }
        // What could not be read is no part of a proof: it is read again.
        guard report.isKnown else {
            await stall(report.problems.first ?? "rows could not be read")
            return await pauseForTrouble()
        }
        let problem = pace.problem(rows: now.rows)
        await progress.update(place) {
            $0?.after = last.base64
            $0?.done += keys.count
            $0?.problem = problem
        }
        try? await Task.sleep(until: start + pause, clock: .continuous)
    }

    /// - Returns: whether all that lies in the store was read.
    private func lookForStrays() async -> Bool {
        guard let now = await progress[place] else { return false }
        let rate = pace.strayRowsPerSecond(rows: now.rows)
        let report = await scrubbing.strays { [progress, place] rows in
            await progress.update(place) { $0?.strays += rows }
            try? await Task.sleep(for: .seconds(Double(rows) / rate))
        }
        guard !Task.isCancelled else { return false }
        guard await note(report) else {
            await pauseForTrouble()
            return false
        }
        await page.replaceLoose(report)
        guard report.isKnown else {
            await stall(report.problems.first ?? "the store could not be read")
            await pauseForTrouble()
            return false
        }
        return true
    }

    /// - Returns: false where what it was compared with is damaged itself: then nothing is known.
    private func note(_ report: CheckReport) async -> Bool {
        if report.outcome == .found, let problem = await problemOfTheJournaled() {
            await stall(problem)
            return false
        }
        for difference in report.differences.prefix(Self.loggedMax) where difference.key == nil {
            logger.warning("\(difference.verdict.rawValue): \(difference.problem)")
        }
        take(await page.take(report))
        return true
    }

    /// Before a store is found guilty; what was found whole a moment ago is not added up again.
    private func problemOfTheJournaled() async -> String? {
        if let wholeAt, wholeAt + Self.wholeFor > .now { return nil }
        do throws(StoreError) {
            try await scrubbing.expectWholeJournaled()
            wholeAt = .now
            return nil
        } catch {
            return error.description
        }
    }
}

extension ScrubPace {
    fileprivate var cycleSeconds: Int { Int(cycle / .seconds(1)) }
}
