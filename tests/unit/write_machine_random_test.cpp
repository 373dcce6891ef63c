// Random requests and events. Checked in every run:
//   each ticket gets one answer, and at the end has it; the machine is quiet then, and holds nothing
//   a success that promises durability comes after sync and commit, and a crash right then loses nothing of
//   it what only failed definitely is not visible, now or after a crash the database is the fold of the log

#include "tests/support/test_seed.hpp"
#include "tests/support/write_rig.hpp"

#include <random>

#include <gtest/gtest.h>

namespace cairn {
namespace {

using namespace std::chrono_literals;

constexpr std::uint64_t version_count = 8;

class random_run {
public:
  explicit random_run(std::uint64_t seed) : random_(seed), rig_(options()) {}

  /// @returns how many archives were acknowledged
  std::size_t run(std::size_t step_count) {
    for (std::size_t i = 0; i < step_count && !testing::Test::HasFailure(); ++i) {
      step();
      if (one_in(20))
        check_visible(rig_.after_crash(), "after a crash");
    }
    finish();
    return success_count_;
  }
  /// @returns how many damaged segments were repaired
  [[nodiscard]] std::size_t repairs() const { return repairs_; }

private:
  /// What one version was answered.
  struct history {
    bool may_be_visible = false;  ///< an archive succeeded, or its outcome is unknown
    bool must_be_visible = false; ///< an archive succeeded, and no cancel was sent since
    bool must_be_hidden = false;  ///< a cancel succeeded
    bool cancel_was_sent = false;
  };

  static write_machine_options options() {
    write_machine_options chosen;
    chosen.early_write_bytes = 2000;
    chosen.max_cancelled_keys = 4;
    chosen.min_overlapping_round = 1;
    return chosen;
  }

  std::uint64_t below(std::uint64_t end) {
    return std::uniform_int_distribution<std::uint64_t>(0, end - 1)(random_);
  }
  bool one_in(std::uint64_t count) { return below(count) == 0; }
  /// Fresh versions come up as old ones are settled.
  std::uint64_t version() { return 1 + epoch_ * version_count + below(version_count); }
  std::uint32_t variant() { return one_in(8) ? 1 : 0; }

  template <class Request>
  void archive(Request request, std::uint64_t of, bool ends) {
    if (one_in(3))
      request = unchecked(std::move(request));
    const auto ticket = rig_.send(std::move(request));
    sent_.insert(ticket);
    if (ends)
      archives_[ticket] = of;
  }

  void send_request() {
    const auto of = version();
    switch (below(12)) {
      case 0:
      case 1: return archive(entire(of, variant()), of, true);
      case 2:
      case 3: return archive(start(of, variant()), of, false);
      case 4:
      case 5: return archive(next(of, static_cast<std::int32_t>(1 + below(3)), variant()), of, false);
      case 6:
      case 7: return archive(final(of, static_cast<std::int32_t>(1 + below(3)), variant()), of, true);
      case 8: return send_cancel(of);
      default: return send_other(of);
    }
  }
  void send_cancel(std::uint64_t of) {
    if (!one_in(4))
      return;
    history_[of].cancel_was_sent = true;
    history_[of].must_be_visible = false;
    const auto ticket = rig_.send(cancel(of));
    sent_.insert(ticket);
    cancels_[ticket] = of;
  }
  void send_other(std::uint64_t of) {
    switch (below(6)) {
      case 0: sent_.insert(rig_.send(sync_request{})); return;
      case 1: sent_.insert(rig_.send(destroy(1'000'000 + of, below(2)))); return;
      case 2: {
        conjoined_request step;
        step.step.collection = collection_id{1};
        step.step.key = one_in(4) ? "a" : "b";
        step.step.version = unified_id{of};
        sent_.insert(rig_.send(step));
        return;
      }
      case 3: sent_.insert(rig_.send(purge_request{{sample_identity(of, node_id{3}).key()}})); return;
      case 4: sent_.insert(rig_.send(configure_request{node_record{node_id{1}, "n", "h", 1}})); return;
      default: break;
    }
    if (!one_in(8))
      return;
    // Cancels what is active or waits; like a cancel of each of them.
    for (auto& [v, known] : history_)
      known.must_be_visible = false;
    sent_.insert(
      rig_.send(gateway_start_request{node_id{2}, timestamp_us{static_cast<std::int64_t>(of) * 1000}}));
    for (std::uint64_t v = 1; v <= (epoch_ + 1) * version_count; ++v)
      history_[v].cancel_was_sent = true;
  }

  void step() {
    static constexpr errc verdicts[] = {errc::size_mismatch, errc::md5_mismatch, errc::adler32_mismatch};
    auto& machine = rig_.machine();
    switch (below(17)) {
      case 0:
      case 1:
      case 2:
      case 3:
      case 4: send_request(); break;
      case 5: rig_.digest(one_in(5) ? verdicts[below(3)] : errc::success); break;
      case 6: machine.start_round(); break;
      case 7:
        if (machine.round_is_due())
          machine.start_round();
        break;
      case 8:
      case 9:
        if (!rig_.append_is_outstanding())
          rig_.take_append();
        break;
      case 10:
        if (rig_.append_is_outstanding())
          rig_.finish_append();
        break;
      case 11:
        if (rig_.sync_is_outstanding())
          rig_.finish_sync();
        break;
      case 12: rig_.commit(); break;
      case 13: fail_perhaps(); break;
      case 14: pass_time(); break;
      case 15:
        rig_.database.damaged.insert(sample_key(version())); // a reader says so
        break;
      default: turn_epoch(); break;
    }
    note_answers();
  }
  void fail_perhaps() {
    if ((!rig_.append_is_outstanding() && !rig_.sync_is_outstanding()) || !one_in(12))
      return;
    // A rollover happens inside an append only.
    const auto rolls = rig_.append_is_outstanding() && !rig_.sync_is_outstanding() && one_in(2);
    const auto held = rolls ? below(rig_.last_append_count().value_or(0) + 1) : 0;
    rig_.fail(held, rolls ? below(40) : 0, one_in(4) ? errc::no_space : errc::storage_error);
  }
  void pass_time() {
    if (one_in(40)) {
      for (auto& [v, known] : history_)
        known.cancel_was_sent = true; // idle segments are cancelled; a final keeps
      rig_.pass(61s);
    } else {
      rig_.pass(std::chrono::milliseconds(below(500)));
    }
    if (one_in(10))
      rig_.machine().space_changed(one_in(3));
    else
      rig_.machine().space_changed(true);
  }
  void turn_epoch() {
    if (one_in(8))
      ++epoch_;
  }

  void note_answers() {
    for (const auto& [ticket, answer] : rig_.answers()) {
      if (!noted_.insert(ticket).second)
        continue;
      EXPECT_TRUE(sent_.contains(ticket));
      if (const auto found = archives_.find(ticket); found != archives_.end())
        note_archive(found->second, answer);
      if (const auto found = cancels_.find(ticket); found != cancels_.end() && answer.code == errc::success)
        note_cancel(found->second);
    }
  }
  void note_archive(std::uint64_t of, const write_answer& answer) {
    EXPECT_NE(answer.code, errc::internal_error);
    auto& known = history_[of];
    if (answer.code == errc::success || !is_definite(answer.code))
      known.may_be_visible = true;
    if (answer.code != errc::success)
      return;
    ++success_count_;
    known.must_be_visible = !known.cancel_was_sent;
    if (known.cancel_was_sent)
      return;
    EXPECT_EQ(rig_.status(of), segment_status::final) << "success for what is not visible, version " << of;
    const auto after = rig_.after_crash().load(sample_key(of));
    EXPECT_TRUE(after && after->status == segment_status::final) << "lost by a crash, version " << of;
  }
  void note_cancel(std::uint64_t of) {
    history_[of].must_be_hidden = true;
    EXPECT_EQ(rig_.status(of), segment_status::cancelled) << "version " << of;
  }

  void check_visible(const model_database& database, const char* when) {
    for (const auto& [of, known] : history_) {
      const auto row = database.load(sample_key(of));
      const auto visible = row && row->status == segment_status::final;
      EXPECT_TRUE(visible || !known.must_be_visible) << when << ": version " << of << " was acknowledged";
      EXPECT_FALSE(visible && known.must_be_hidden) << when << ": version " << of << " was cancelled";
    }
  }

  void finish() {
    rig_.machine().space_changed(true);
    rig_.settle();
    rig_.pass(61s); // what is still active
    rig_.settle();
    note_answers();
    check_visible(rig_.database, "at the end");
    for (const auto& [of, known] : history_) {
      const auto status = rig_.status(of);
      EXPECT_NE(status, segment_status::active) << "version " << of;
      EXPECT_TRUE(known.may_be_visible || status != segment_status::final)
        << "every archive of version " << of << " failed definitely";
    }
    EXPECT_EQ(noted_, sent_) << "requests without an answer";
    EXPECT_TRUE(rig_.machine().is_quiet());
    EXPECT_EQ(rig_.machine().active_segment_count(), 0U);
    EXPECT_EQ(rig_.machine().completion_count(), 0U);
    EXPECT_EQ(rig_.machine().held_bytes(), 0U);
    EXPECT_FALSE(rig_.machine().oldest_wait());
    EXPECT_FALSE(rig_.take_append());
    rig_.database.damaged.clear(); // which is no part of the log
    for (const auto& [id, row] : rig_.database.segments())
      for (const auto& sequence : row.sequences)
        EXPECT_TRUE(rig_.log_holds(row, sequence)) << "a row points to what is not in the log";
    EXPECT_EQ(rig_.after_crash(), rig_.database) << "the database is not the fold of the log";
    for (const auto& record : rig_.log())
      if (const auto* repair = std::get_if<repair_record>(&record.body)) {
        ++repairs_;
        check_without_first_records(*repair);
      }
  }

  /// A rebuild to which the segment's own records are lost makes of the log what the database has.
  void check_without_first_records(const repair_record& repair) {
    std::vector<placed_record> left;
    for (const auto& record : rig_.log()) {
      const auto* sequence = std::get_if<sequence_record>(&record.body);
      const auto* final = std::get_if<final_record>(&record.body);
      if ((sequence == nullptr || sequence->of.id != repair.of.id)
          && (final == nullptr || final->of.id != repair.of.id))
        left.push_back(record);
    }
    model_database made;
    made.refuse = rig_.database.refuse;
    made.fold(left);
    EXPECT_EQ(made.load(repair.of.key()), rig_.database.load(repair.of.key()))
      << "version " << repair.of.segment.version.value;
  }

  std::mt19937_64 random_;
  write_rig rig_;
  std::uint64_t epoch_ = 0;
  std::set<write_ticket> sent_;
  std::set<write_ticket> noted_;
  std::map<write_ticket, std::uint64_t> archives_;
  std::map<write_ticket, std::uint64_t> cancels_;
  std::map<std::uint64_t, history> history_;
  std::size_t success_count_ = 0;
  std::size_t repairs_ = 0;
};

TEST(WriteMachineRandomTest, HoldsItsPromisesWhateverComes) {
  const auto seed = test_seed();
  std::size_t success_count = 0, repair_count = 0;
  for (std::uint64_t i = 0; i < 60 && !HasFailure(); ++i) {
    SCOPED_TRACE("run " + std::to_string(i));
    random_run run(seed + i);
    success_count += run.run(1500);
    repair_count += run.repairs();
  }
  EXPECT_GT(success_count, 1000U) << "else it shows nothing";
  EXPECT_GT(repair_count, 60U) << "nor this";
}

} // namespace
} // namespace cairn
