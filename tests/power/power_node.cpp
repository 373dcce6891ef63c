#include "tests/power/power_node.hpp"

#include "tests/power/receipts.hpp"

#include <algorithm>
#include <cstdlib>
#include <iostream>

#include <caf/scheduled_actor.hpp>
#include <fmt/format.h>

namespace cairn::power {

namespace {

constexpr std::string_view client_name = "power.client";
constexpr unsigned flush_percent = 12;   ///< after a step that may have committed
constexpr unsigned overlap_percent = 25; ///< of operations of the disk, others go on meanwhile

struct client_state {
  static inline const char* name = client_name.data();
};

std::string_view name_of(caf::resumable* job) {
  const auto* actor = dynamic_cast<caf::scheduled_actor*>(job);
  return actor == nullptr ? std::string_view{} : std::string_view{actor->name()};
}

bool may_commit(std::string_view actor) {
  return actor == "cairn.node_db" || actor == "cairn.opener" || actor == "cairn.reader";
}

/// The number is of no use: CAF 0.17 goes through a null pointer where a function takes nothing else.
caf::behavior power_client(caf::stateful_actor<client_state>* self, int) {
  return {[=](const act& m) { m.what(self); }, [](const archive_reply&) {}};
}

} // namespace

bool is_traced() {
  static const bool traced = std::getenv("CAIRN_POWER_TRACE") != nullptr;
  return traced;
}

void trace(const std::string& line) {
  if (is_traced())
    std::cout << line << std::endl;
}

power_node::power_node(flushed_database& database, const std::string& data_directory, std::uint64_t seed,
                       std::uint64_t max_value_file_bytes, const std::string& connection)
    : database_(database), random_(seed), watched_(disk_, [this] { before_disk_operation(); }),
      scheduler_(dynamic_cast<caf::scheduler::test_coordinator&>(system_.scheduler())) {
  settings_.data_directory = data_directory;
  settings_.database = connection.empty() ? database_.connection_string() : connection;
  settings_.max_value_file_bytes = max_value_file_bytes;
  settings_.reserve_percent = 0;
  settings_.min_reserve_bytes = 0;
  settings_.reader_count = 1;
  settings_.min_overlapping_round = 1; // as often as can be
  for (const auto* folder : {"/spaces", "/journal"})
    disk_.set_up_directory(settings_.data_directory + folder);
}

power_node::~power_node() { end(); }

bool power_node::start() {
  if (const auto refusal = try_start()) {
    trace(list_value_files(disk_, spaces_root()));
    throw broken_promise("the node does not start: " + refusal->error_message);
  }
  return has_power();
}

std::optional<readiness> power_node::try_start() {
  storage_node_options options;
  options.settings = settings_;
  options.value_file_disk = &watched_;
  options.use_threads = false;
  node_ = system_.spawn(storage_node, std::move(options));
  for (std::size_t i = 0; i < client_count; ++i)
    clients_.push_back(system_.spawn(power_client, 0));
  is_starting_ = true;
  const auto ready = send<readiness>(0, await_ready{});
  while (!ready->reply && step()) {}
  is_starting_ = false;
  if (!has_power())
    return {};
  if (!ready->reply)
    throw broken_promise("the node does not start, and does not say why");
  if (ready->reply->result != errc::success) {
    end();
    return std::move(*ready->reply);
  }
  for (std::size_t i = 0; i < client_count; ++i)
    greet(i);
  return {};
}

void power_node::greet(std::size_t client) {
  const auto welcome = send<hello_reply>(client, hello{});
  while (!welcome->reply && step()) {}
  if (has_power() && (!welcome->reply || welcome->reply->result != errc::success))
    throw broken_promise("a client is not welcome after the start");
}

void power_node::deliver() {
  scheduler_.run_jobs_filtered([](caf::resumable* job) { return name_of(job) == client_name; });
}

void power_node::before_disk_operation() {
  if (!has_power())
    return;
  if (is_starting_)
    database_.observe();
  if (!is_writing_ || !chance(random_, overlap_percent))
    return;
  is_writing_ = false;
  for (auto steps = 1 + pick(random_, 8); steps > 0 && step(); --steps) {}
  is_writing_ = true;
}

bool power_node::step() {
  if (!has_power() || !scheduler_.has_job())
    return false;
  auto& jobs = scheduler_.jobs;
  const auto chosen = jobs.begin() + static_cast<std::ptrdiff_t>(pick(random_, jobs.size()));
  std::rotate(jobs.begin(), chosen, chosen + 1);
  const std::string name{name_of(jobs.front())};
  is_writing_ = name == "cairn.value_file";
  scheduler_.run_once();
  is_writing_ = false;
  const auto flushes = may_commit(name) && chance(random_, flush_percent);
  if (!has_power()) {
    trace(fmt::format("    {}: power goes", name));
    return false;
  }
  if (is_traced())
    trace(fmt::format("    {}, {} operations of the disk", name, disk_.count_all()));
  if (may_commit(name))
    flushes ? database_.flush() : database_.observe();
  deliver();
  return true;
}

void power_node::run() {
  while (step()) {}
}

void power_node::pass(std::chrono::milliseconds time) { scheduler_.advance_time(time); }

void power_node::lose_power() {
  disk_.cut_power_after(0);
  end();
  const auto lost = database_.lose_power();
  lost_commits_ += lost;
  disk_.crash(random_());
  trace(fmt::format("power is lost; the database falls back by {} records", lost));
}

void power_node::kill_process() {
  disk_.cut_power_after(0); // actors that end do nothing more
  end();
  disk_.cut_power_after(never);
  disk_.kill_process();
  trace("the process is killed");
}

void power_node::end() {
  if (!node_)
    return;
  caf::anon_send_exit(node_, caf::exit_reason::kill);
  for (const auto& client : clients_)
    caf::anon_send_exit(client, caf::exit_reason::kill);
  node_ = nullptr;
  clients_.clear();
  scheduler_.run();
}

} // namespace cairn::power
