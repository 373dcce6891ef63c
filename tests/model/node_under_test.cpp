#include "tests/model/node_under_test.hpp"

#include "core/store/rebuild.hpp"
#include "core/verify/verify.hpp"

#include <algorithm>
#include <filesystem>
#include <fstream>

#include <fmt/format.h>

namespace cairn::model {

namespace {

constexpr std::chrono::hours patience{1};
constexpr int stops_to_a_rebuild = 4;

} // namespace

node_under_test::node_under_test() { start(); }

node_under_test::~node_under_test() {
  client_.reset();
  node_.reset();
}

void node_under_test::start() {
  auto settings = harness::settings_in(directory_ / "node");
  settings.database = database_->connection_string();
  settings.max_value_file_bytes = 1U << 20U; // many roll-overs
  settings.reader_count = 2;
  settings.min_overlapping_round = 1; // as often as can be
  // The model knows no clock: on a machine that is busy elsewhere, time must make no difference.
  settings.idle_limit = settings.request_timeout = settings.database_patience = patience;
  node_ = std::make_unique<harness::local_node>(settings);
  if (node_->start().result != errc::success)
    throw harness::harness_error("the node does not start: " + node_->start().error_message);
  client_options options;
  options.request_timeout = patience;
  auto attached = client::attach(node_->system(), node_->handle(), options);
  if (!attached)
    throw harness::harness_error("no client: " + attached.error().message);
  client_ = std::move(*attached);
}

pending_reply<archive_reply> node_under_test::send(const operation& message) {
  return std::visit([&](const auto& m) { return client_->send<archive_reply>(m); }, message);
}

std::vector<std::optional<archive_reply>>
node_under_test::collect(std::vector<pending_reply<archive_reply>>& in_flight) {
  std::vector<std::optional<archive_reply>> replies;
  for (auto& waiting : in_flight) {
    auto reply = waiting();
    // A code that leaves open whether it was stored says no more than no reply.
    const auto tells = reply && (reply->result == errc::success || is_definite(reply->result));
    replies.push_back(tells ? std::optional(std::move(*reply)) : std::nullopt);
  }
  return replies;
}

std::vector<std::optional<archive_reply>>
node_under_test::stop_and_start(std::vector<pending_reply<archive_reply>>& in_flight) {
  if (const auto lost = node_->stop(); lost != 0)
    throw harness::harness_error(fmt::format("the stop lost {} requests", lost));
  auto replies = collect(in_flight);
  client_.reset();
  node_.reset();
  verify();
  if (++stops_ % stops_to_a_rebuild == 0)
    rebuild();
  start();
  return replies;
}

void node_under_test::verify() const {
  verify_options options;
  std::string first;
  options.on_problem = [&](const verify_problem& problem) {
    if (first.empty())
      first = fmt::format("{} {} at byte {}: {}", problem.segment.key, problem.file, problem.offset_bytes,
                          problem.what);
  };
  const auto settings = harness::settings_in(directory_ / "node");
  const auto found = verify_node(real_disk(), directory_ / "node/spaces", database_->connection_string(),
                                 {settings.cluster_name, settings.node_name, settings.id}, options);
  if (!found)
    throw harness::harness_error("verify: " + found.error().message);
  if (found->problems != 0)
    throw harness::harness_error("verify: " + first);
}

void node_under_test::rebuild() {
  const auto rows_of = [](const test_database& database) {
    database.query("UPDATE cairn.value_file SET close_time = creation_time"); // no file tells of it
    return database.dump();
  };
  auto made = std::make_unique<test_database>();
  rebuild_options options;
  options.node = {directory_ / "node", made->connection_string(), {}};
  if (const auto rebuilt = rebuild_database(real_disk(), options); !rebuilt)
    throw harness::harness_error("rebuild: " + rebuilt.error().message);
  const auto before = rows_of(*database_);
  const auto after = rows_of(*made);
  if (const auto [was, is] = std::ranges::mismatch(before, after); was != before.end() || is != after.end())
    throw harness::harness_error(
      fmt::format("rebuild: the rows differ: ... {} ... was ... {}",
                  std::string(is, is + std::min<std::ptrdiff_t>(200, after.end() - is)),
                  std::string(was, was + std::min<std::ptrdiff_t>(200, before.end() - was))));
  database_ = std::move(made);
}

std::vector<std::optional<archive_reply>>
node_under_test::crash_and_start(std::vector<pending_reply<archive_reply>>& in_flight,
                                 std::size_t torn_bytes) {
  node_->end_abruptly();
  auto replies = collect(in_flight);
  client_.reset();
  node_.reset();
  if (torn_bytes != 0)
    tear_last_file(torn_bytes);
  verify();
  start();
  return replies;
}

void node_under_test::tear_last_file(std::size_t bytes) const {
  std::filesystem::path last;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(
         directory_ / "node/spaces", std::filesystem::directory_options::follow_directory_symlink))
    if (entry.is_regular_file() && (last.empty() || entry.path().filename() > last.filename()))
      last = entry.path();
  std::ofstream(last, std::ios::binary | std::ios::app) << std::string(bytes, '\x5a');
}

} // namespace cairn::model
