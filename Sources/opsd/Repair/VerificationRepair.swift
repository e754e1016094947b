import ArgumentParser
import Foundation
import Ledger
import TradingHTTP
import Verify

extension RepairMode: ExpressibleByArgument {}

extension Verification {
    /// Hands in what was found, and looks again at what was put right.
    /// - Returns: the reports as they are then.
    func repair(
        _ reports: [CheckReport], _ mode: RepairMode, _ configuration: Configuration,
        isWhole: Bool, _ begun: Timestamp, _ writer: VerificationWriter
    ) async -> [CheckReport] {
        let desk = RepairDesk(configuration, journal: journal)
        var later: [CheckReport] = []
        for report in reports {
            let wish = RepairDesk.wish(
                for: report.dataset, mode: mode, in: configuration)
            let outcome = await desk.consider(report, wish)
            writer.show(outcome)
            guard case .known(let line) = outcome, line.state == "applied",
                let check = checks.first(where: {
                    $0.schema.dataset == report.dataset && $0.name == report.store
                })
            else {
                later.append(report)
                continue
            }
            let again = await check.again(report)
            await note(again, isWhole: isWhole, begun)
            later.append(again)
        }
        return later
    }
}

extension VerificationWriter {
    func show(_ outcome: RepairDesk.Outcome) {
        switch outcome {
        case .nothing: break
        case .known(let line):
            printLine(text: ([line.text] + line.next.map { "    " + $0 }).joined(separator: "\n")) {
                $0.repair(line)
            }
        case .filed(let id):
            printLine(
                text: "\(id) waits: no core runs, and it is the core that repairs\n"
                    + "    opsd repair apply \(id)"
            ) { json in
                json.member("repair", id)
                json.member("state", "filed")
            }
        case .failed(let problem):
            FileHandle.standardError.write(Data("no repair: \(problem)\n".utf8))
        }
    }
}
