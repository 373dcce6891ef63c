/// Random traffic, sent to a real node and to the model of the contract: every reply must be one that the
/// model allows, and at intervals everything that can be read must be what the model holds. The node is
/// stopped and ended abruptly in between, with messages in flight.
///
/// CAIRN_SEED=N is the first seed, CAIRN_SEEDS=N how many follow one another (20), CAIRN_OPERATIONS=N how
/// many operations each has (2,000).

#include "tests/harness/archives.hpp"
#include "tests/model/describe.hpp"
#include "tests/model/node_under_test.hpp"
#include "tests/model/reading.hpp"
#include "tests/support/test_seed.hpp"

#include <algorithm>
#include <iostream>
#include <set>

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <spdlog/spdlog.h>

namespace cairn::model {
namespace {

constexpr std::size_t listings_every = 250;
constexpr std::size_t contents_every = 1'000;
constexpr std::size_t restart_every = 220; ///< on average
constexpr std::size_t told_of_a_difference = 25;

std::size_t number_from_environment(const char* name, std::size_t otherwise) {
  const auto* given = std::getenv(name);
  return given != nullptr ? std::strtoull(given, nullptr, 10) : otherwise;
}

/// What a run found to differ from the contract.
struct difference : std::runtime_error {
  using std::runtime_error::runtime_error;
};

class run {
public:
  explicit run(std::uint64_t seed) : seed_(seed), messages_(seed, model_) {}

  void operations(std::size_t count) {
    while (done_ < count) {
      const auto before = done_;
      step();
      if (before / listings_every != done_ / listings_every)
        check(reading().everything_listed(random_));
      if (before / contents_every != done_ / contents_every)
        check(reading().everything_stored(random_));
    }
    restart(chance(random_, 50) ? batch_end::stopped : batch_end::crashed);
    check(reading().everything_listed(random_));
    check(reading().everything_stored(random_));
  }

private:
  /// Each step has randomness of its own: a reply that could be one or the other changes no later step.
  void step() {
    random_.seed(seed_ * 1'000'003 + done_);
    if (pick(random_, restart_every) == 0)
      return restart(chance(random_, 50) ? batch_end::stopped : batch_end::crashed);
    const auto dice = pick(random_, 100);
    if (dice < 14)
      return ask();
    if (dice < 19)
      for (const auto& message : messages_.upload(random_))
        send(message, batch_end::answered);
    else if (dice < 27)
      for (auto n = 2 + pick(random_, 6); n > 0; --n)
        send(messages_.next(random_, false), batch_end::answered);
    else
      send(messages_.next(random_, true), batch_end::answered);
    receive();
    become_sure();
  }

  model::reading reading() { return {node_.by(), model_, messages_}; }

  void ask() {
    ++done_;
    check(reading().random_question(random_));
  }

  void send(const operation& message, batch_end end) {
    ++done_;
    history_.push_back({done_, message, {}});
    model_.arrive(message, end);
    in_flight_.push_back(node_.send(message));
  }

  /// Takes the replies to all messages in flight.
  void receive() {
    std::vector<std::optional<archive_reply>> replies;
    for (auto& waiting : in_flight_) {
      auto reply = waiting();
      replies.push_back(reply ? std::optional(std::move(*reply)) : std::nullopt);
    }
    settle(replies, batch_end::answered);
  }

  void settle(const std::vector<std::optional<archive_reply>>& replies, batch_end end) {
    const auto count = in_flight_.size();
    in_flight_.clear();
    for (std::size_t i = 0; i < count; ++i)
      history_[history_.size() - count + i].reply = describe(replies[i]);
    const auto newest = newest_lsn_;
    for (const auto& reply : replies) {
      if (!reply || reply->proof.lsn == log_sequence_number{})
        continue;
      if (reply->proof.lsn <= newest)
        fail("a receipt's number was given out before", count);
      newest_lsn_ = std::max(newest_lsn_, reply->proof.lsn);
    }
    if (const auto contradiction = model_.settle(replies, end); !contradiction.empty())
      fail(contradiction, count);
  }

  /// Ends the node with messages in flight, no two of them about one segment, and starts it again.
  void restart(batch_end end) {
    ++done_;
    std::set<unified_id> concerned;
    std::vector<operation> sent;
    for (auto n = pick(random_, 8); n > 0; --n) {
      auto message = messages_.next(random_, false);
      const auto ids = versions_of(message);
      if (!std::all_of(ids.begin(), ids.end(), [&](unified_id id) { return concerned.insert(id).second; }))
        continue;
      send(message, end);
      sent.push_back(std::move(message));
    }
    const auto torn = chance(random_, 50) ? 1 + pick(random_, 9'000) : 0;
    history_.push_back(
      {done_, {}, end == batch_end::stopped ? "the node is stopped" : "the node ends abruptly"});
    std::rotate(history_.end() - static_cast<std::ptrdiff_t>(sent.size()) - 1, history_.end() - 1,
                history_.end());
    const auto replies =
      end == batch_end::stopped ? node_.stop_and_start(in_flight_) : node_.crash_and_start(in_flight_, torn);
    settle(replies, end);
    end == batch_end::stopped ? model_.stop() : model_.crash();
    // Whoever does not know sends again; always what become_sure() cannot ask about.
    for (std::size_t i = 0; i < sent.size(); ++i)
      if (const auto index = sent[i].index(); !replies[i] && (index >= 5 || chance(random_, 50))) {
        send(sent[i], batch_end::answered);
        receive();
      }
    become_sure();
    check(reading().everything_listed(random_));
  }

  /// Asks about segments of which the replies allow more than one state: with a next that fits none.
  void become_sure() {
    for (const auto& key : model_.unsure()) {
      const auto data = harness::bytes_of_seed(7, seed_ + done_);
      send(archive_key_next{{}, key, harness::describe(data, 0), data}, batch_end::answered);
      std::vector<std::optional<archive_reply>> replies;
      auto reply = in_flight_.back()();
      replies.push_back(reply ? std::optional(std::move(*reply)) : std::nullopt);
      settle(replies, batch_end::answered);
    }
    if (!model_.unsure().empty())
      fail("the test cannot tell what state this is in: " + model::describe(model_.unsure().front()), 0);
  }

  void check(const std::string& what_differs) {
    if (!what_differs.empty())
      fail(what_differs, 0);
  }

  /// @param in_question so many messages, the last ones
  [[noreturn]] void fail(const std::string& what, std::size_t in_question) {
    std::string text = fmt::format("CAIRN_SEED={} operation {}: {}\n", seed_, done_, what);
    std::set<unified_id> ids; // of what is in question, or is told by the text
    for (std::size_t i = 0; i < history_.size(); ++i)
      if (history_[i].message)
        for (const auto id : versions_of(*history_[i].message))
          if (i + in_question >= history_.size()
              || (in_question == 0 && what.find(std::to_string(id.value)) != std::string::npos))
            ids.insert(id);
    std::vector<std::string> lines;
    for (std::size_t i = 0; i < history_.size(); ++i) {
      const auto& line = history_[i];
      const auto is_in_question = i + in_question >= history_.size();
      const auto concerned = line.message ? versions_of(*line.message) : std::vector<unified_id>{};
      if (line.message && !ids.empty()
          && std::none_of(concerned.begin(), concerned.end(),
                          [&](unified_id id) { return ids.contains(id); }))
        continue;
      lines.push_back(fmt::format("{} {:6} {}\n         -> {}\n", is_in_question ? '>' : ' ', line.number,
                                  line.message ? model::describe(*line.message) : "", line.reply));
    }
    const auto first = lines.size() > told_of_a_difference ? lines.size() - told_of_a_difference : 0;
    for (auto i = first; i < lines.size(); ++i)
      text += lines[i];
    throw difference(text);
  }

  struct entry {
    std::size_t number = 0;
    std::optional<operation> message;
    std::string reply;
  };

  std::uint64_t seed_;
  random_source random_;
  contract_model model_{"node-1"};
  traffic messages_;
  node_under_test node_;
  std::vector<pending_reply<archive_reply>> in_flight_;
  std::vector<entry> history_;
  log_sequence_number newest_lsn_;
  std::size_t done_ = 0;
};

TEST(ModelTest, NodeDoesWhatTheContractSays) {
  spdlog::set_level(spdlog::level::off);
  const auto first = test_seed();
  const auto seeds = number_from_environment("CAIRN_SEEDS", 20);
  const auto operations = number_from_environment("CAIRN_OPERATIONS", 2'000);
  for (auto seed = first; seed < first + seeds; ++seed) {
    const auto begin = std::chrono::steady_clock::now();
    try {
      run(seed).operations(operations);
    } catch (const std::exception& e) {
      FAIL() << e.what() << "\nrepeat with CAIRN_SEED=" << seed
             << " CAIRN_SEEDS=1 CAIRN_OPERATIONS=" << operations;
    }
    std::cout << fmt::format("seed {}: {} operations in {:.1f} s", seed, operations,
                             std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count())
              << std::endl;
  }
}

} // namespace
} // namespace cairn::model
