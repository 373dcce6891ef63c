#pragma once
/// What clients do: several of them at once, each message for a node in any state. Replies are turned into
/// facts, and refused at once where no right node could give them.

#include "tests/power/facts.hpp"
#include "tests/power/power_node.hpp"

#include <array>
#include <functional>
#include <set>
#include <utility>

#include <fmt/format.h>

namespace cairn::power {

/// Few keys, so that versions meet; of a unified id follows the time.
inline constexpr collection_id the_collection{1};
inline constexpr std::array keys{"alpha", "alpha/1", "beta", "\xC3\xA9t\xC3\xA9"};
inline constexpr std::int64_t first_timestamp_us = 1'700'000'000'000'000;

inline timestamp_us time_of(std::uint64_t version) {
  return timestamp_us{first_timestamp_us + static_cast<std::int64_t>(version) * 1'000};
}

/// Answers that may follow when an operation of the disk fails. Of writes: it failed, or for that an upload
/// was forgotten, or the part of it that was.
inline const std::set<errc> read_failures_of_disk{errc::damaged, errc::storage_error};
inline const std::set<errc> write_failures_of_disk{errc::storage_error, errc::no_space, errc::unknown_segment,
                                                   errc::sequence_out_of_order, errc::cancelled};

class workload {
public:
  workload(power_node& node, facts& known, random_source& random);

  /// The node has started: what was in flight never comes.
  void begin_life();
  /// Does something. @throws broken_promise
  void act();
  /// Takes the replies that have come. @throws broken_promise
  void take_replies();
  [[nodiscard]] std::size_t in_flight() const { return pending_.size(); }
  /// Disk or database fail in this life, and reads and writes are then answered one of these.
  void expect_faults(std::set<errc> of_reads, std::set<errc> of_writes) {
    is_healthy_ = false;
    read_failures_ = std::move(of_reads);
    write_failures_ = std::move(of_writes);
  }
  /// The orderly end: what is refused for it is right.
  void expect_stop() { is_stopping_ = true; }

  void archive_new(); ///< an entire of a fresh key
  void add_east();
  void look(); ///< at any segment
  /// One of the next operations of the disk fails.
  void fail_disk();
  /// Bytes that were there after a start rot, and somebody looks at them.
  void rot();
  void mend(); ///< what a reader has found damaged

private:
  using on_reply = std::function<void(const archive_reply&)>;
  struct request {
    std::function<bool()> take; ///< @returns whether the reply has come
    std::string what;
  };

  template <class Message>
  void send(std::size_t client, Message message, const std::string& what, on_reply take) {
    message.env = {"power", what, next_message_++, {}};
    const auto expected = message.env;
    trace(fmt::format("client {} sends {}", client, what));
    await(node_.send<archive_reply>(client, std::move(message)), expected, std::move(take));
  }
  void await(const pending_outcome<archive_reply>& out, const envelope& expected, on_reply take);
  upload& plan(std::size_t sequence_count);
  void open_upload();
  void go_on();
  void send_piece(const upload& u, std::size_t number, const std::string& what, on_reply take);
  void send_last(const upload& u, const std::string& what, on_reply take);
  void send_next_of(upload& u);
  void send_last_of(upload& u);
  void repeat();
  void cancel();
  void purge_copies();
  void destroy();
  void conjoin();
  template <class Step>
  void step_conjoined(conjoined& row, fact& what, const char* name);
  void start_gateway();
  void look_at(upload* u);
  void check_mended(upload& u, const archive_reply& reply, bool was_alone, const std::string& what);

  void check_refusal(const archive_reply& reply, bool is_allowed, const std::string& what) const;
  void check_last(upload& u, const archive_reply& reply, bool was_forbidden, bool is_late);
  void note_proof(const archive_reply& reply, const std::string& what);
  void acknowledge(fact& of, const archive_reply& reply, const std::string& what);

  template <class Container, class Wanted>
  auto* any_of(Container& from, Wanted&& is_wanted) {
    std::vector<decltype(&from.front())> wanted;
    for (auto& each : from)
      if (is_wanted(each))
        wanted.push_back(&each);
    return wanted.empty() ? nullptr : wanted[pick(random_, wanted.size())];
  }

  power_node& node_;
  facts& facts_;
  random_source& random_;
  std::vector<request> pending_;
  std::uint64_t next_version_ = 1'000;
  std::uint64_t next_message_ = 1;
  int life_ = 0;
  bool is_healthy_ = true;
  std::set<errc> read_failures_; ///< allowed ones
  std::set<errc> write_failures_;
  bool is_stopping_ = false;
};

} // namespace cairn::power
