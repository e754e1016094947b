import Foundation
import Ledger
import TestSupport
import Testing

@testable import Control

@Suite struct ControlStateTests {
    private func record(_ name: String, restarts: Int = 0) -> ServiceRecord {
        ServiceRecord(
            name: name, state: "running", pid: 7, startTicks: 8, bootID: MachineStart.bootID,
            startedAt: Timestamp(microseconds: 1), restarts: restarts, lastExit: "gone",
            since: Timestamp(microseconds: 2), instance: "a1", quickExits: 3,
            startsAt: Timestamp(microseconds: 9))
    }

    @Test func whatWasWrittenIsReadAgainAlsoByACommand() async throws {
        let directory = try TemporaryDirectory()
        let path = directory.path("control.sqlite")
        let state = try ControlState(path: path)
        state.save(record("a"))
        state.save(record("b"))
        state.save(record("a", restarts: 3))
        state.remove(service: "b")
        state.append(ServiceEvent(service: "a", kind: .ready), at: Timestamp(microseconds: 5))
        await state.flush()
        #expect(await state.services() == [record("a", restarts: 3)])
        #expect(try ControlState.readServices(path: path) == [record("a", restarts: 3)])
        let events = await state.events(newest: 10)
        #expect(events.map(\.kind) == ["ready"] && events.map(\.text) == ["ready"])
        #expect(state.movedAside == nil)
        let attributes = try FileManager.default.attributesOfItem(atPath: path)
        #expect(attributes[.posixPermissions] as? Int == 0o600)
        let again = try ControlState(path: path)
        #expect(await again.services() == [record("a", restarts: 3)])
    }

    @Test func eventsAreBounded() async throws {
        let directory = try TemporaryDirectory()
        let state = try ControlState(path: directory.path("control.sqlite"))
        for batch in 0..<21 {
            for number in 0..<500 {
                let kind = ServiceEvent.Kind.started(pid: Int32(batch * 500 + number))
                state.append(ServiceEvent(service: "s", kind: kind), at: Timestamp(microseconds: 0))
            }
            await state.flush()
        }
        let events = await state.events(newest: 20_000)
        #expect(events.count == ControlState.eventsMax)
        #expect(events.last?.text == "started as process 10499")
    }

    @Test func aDamagedFileIsMovedAsideAndBegunAnew() async throws {
        let directory = try TemporaryDirectory()
        let path = directory.path("control.sqlite")
        try Data(repeating: 7, count: 20_000).write(to: URL(fileURLWithPath: path))
        let state = try ControlState(path: path)
        let aside = try #require(state.movedAside)
        #expect(FileManager.default.contents(atPath: aside)?.count == 20_000)
        state.save(record("a"))
        await state.flush()
        #expect(await state.services().count == 1)
    }

    @Test func aProcessOfAnEarlierRunOfTheMachineIsNone() {
        var record = record("a")
        #expect(record.identity != nil)
        record.bootID = "another"
        #expect(record.identity == nil && !record.isAlive)
    }
}

@Suite(.serialized) struct LogFileTests {
    /// Every number once and in order, through all the files.
    @Test func nothingIsLostWhileAServiceGoesOnWriting() async throws {
        let shop = try Workshop()
        var service = try shop.script(
            "s",
            """
            n=0
            while [ $n -lt 60 ]; do
                seq $((n * 5000 + 1)) $(((n + 1) * 5000)); n=$((n + 1)); sleep 0.02
            done
            touch $DIR/done
            exec sleep 60
            """,
            restart: RestartPolicy(mode: .never))
        service.rotation = LogRotation(atBytes: 20_000, keep: 1_000)
        let supervisor = try shop.supervisor([service])
        let files = [service.logFile: service.rotation]
        let keeper = LogKeeper(files: { files })
        await supervisor.start()
        while !shop.exists("done") { await keeper.look() }
        await keeper.look()
        await supervisor.stopAll()
        var text = Data()
        var number = 1
        while let older = FileManager.default.contents(atPath: "\(service.logFile).\(number)") {
            text = older + text
            number += 1
        }
        #expect(number > 3)
        text += FileManager.default.contents(atPath: service.logFile) ?? Data()
        let expected = Data((1...300_000).map { "\($0)\n" }.joined().utf8)
        #expect(text == expected)
    }

    @Test func onlySoManyOlderFilesAreKept() throws {
        let directory = try TemporaryDirectory()
        let path = directory.path("s.log")
        for round in 0..<4 {
            let line = Data(repeating: UInt8(ascii: "a") + UInt8(round), count: 10_000)
            let file = FileHandle(forWritingAtPath: path)
            if let file {
                try file.seekToEnd()
                try file.write(contentsOf: line)
                try file.close()
            } else {
                try line.write(to: URL(fileURLWithPath: path))
            }
            #expect(
                try LogFile.rotate(path, LogRotation(atBytes: 10_000, keep: 2))
                    == .cut(lostBytes: 0))
        }
        let names = try FileManager.default.contentsOfDirectory(atPath: directory.path)
        #expect(Set(names) == ["s.log", "s.log.1", "s.log.2"])
        #expect(try LogFile.rotate(path, LogRotation(atBytes: 100_000, keep: 2)) == .notNeeded)
        #expect(try LogFile.rotate(directory.path("none"), LogRotation()) == .notNeeded)
    }
}
