#include "core/store/node_store.hpp"

#include "core/clock.hpp"
#include "core/log/bytes.hpp"
#include "core/store/recovery.hpp"

#include <algorithm>
#include <charconv>

#include <fmt/format.h>
#include <spdlog/spdlog.h>

namespace cairn {

namespace {

constexpr space_id default_space{1};
constexpr std::size_t max_fence_keys = 100'000;

space_reserve reserve_of(const node_settings& settings) {
  return {settings.reserve_percent, settings.min_reserve_bytes};
}

result<void> check_settings(const node_settings& settings) {
  for (const auto& [what, name] :
       {std::pair("cluster name", &settings.cluster_name), std::pair("node name", &settings.node_name)})
    if (!is_valid_name(*name))
      return fail(errc::invalid_message,
                  fmt::format("{} \"{}\" must have 1 to 63 characters of A-Z a-z 0-9 . _ -", what, *name));
  if (settings.id.value <= 0)
    return fail(errc::invalid_message, fmt::format("node id is {}, it must be positive", settings.id.value));
  if (settings.max_value_file_bytes < 2 * file_header_bytes)
    return fail(errc::invalid_message,
                fmt::format("the maximum size of a value file is {} bytes, it must be at least {}",
                            settings.max_value_file_bytes, 2 * file_header_bytes));
  if (settings.limits.max_sequence_bytes == 0 || settings.limits.max_sequence_bytes > max_record_data_bytes)
    return fail(errc::invalid_message,
                fmt::format("the maximum size of a sequence is {} bytes, it must be 1..{}",
                            settings.limits.max_sequence_bytes, max_record_data_bytes));
  return {};
}

} // namespace

node_store::node_store(disk& disk, node_settings settings, data_directory directory)
    : disk_(disk), settings_(std::move(settings)), directory_(std::move(directory)) {}

node_store::~node_store() = default;

result<std::unique_ptr<node_store>> node_store::open(disk& disk, node_settings settings) {
  if (auto checked = check_settings(settings); !checked)
    return pass_failure(checked);
  auto directory = data_directory::open(settings.data_directory);
  if (!directory)
    return pass_failure(directory);
  std::unique_ptr<node_store> store(new node_store(disk, std::move(settings), std::move(*directory)));
  if (auto claimed = store->directory_.claim(store->identity()); !claimed)
    return pass_failure(claimed);
  if (auto started = store->start_database(); !started)
    return pass_failure(started);
  return store;
}

result<void> node_store::start_database() {
  if (!settings_.database.empty()) {
    connection_ = settings_.database;
    return {};
  }
  managed_postgres_options options;
  options.directory = directory_.postgres_path();
  options.bin_directory = settings_.postgres_bin_directory;
  options.on_change = [](const managed_postgres_state& state) {
    if (state.phase == managed_postgres_phase::restarting)
      spdlog::warn("postgres_restarting restarts={} reason=\"{}\"", state.restart_count, state.last_exit);
  };
  auto server = managed_postgres::start(std::move(options));
  if (!server)
    return pass_failure(server);
  postgres_ = std::move(*server);
  if (auto created = postgres_->create_database(own_database_name); !created)
    return created;
  connection_ = postgres_->connection_string(own_database_name);
  return {};
}

std::string node_store::database_trouble() const {
  if (!postgres_)
    return {};
  const auto state = postgres_->state();
  return state.phase == managed_postgres_phase::running
           ? std::string{}
           : fmt::format("own PostgreSQL is {}: {}", to_string(state.phase), state.last_exit);
}

result<std::vector<file_space>> node_store::linked_spaces() {
  auto links = disk_.list_directory(spaces_root());
  if (!links)
    return pass_failure(links);
  std::vector<file_space> linked;
  for (const auto& link : *links) {
    std::int32_t id = 0;
    const auto* end = link.name.data() + link.name.size();
    if (const auto parsed = std::from_chars(link.name.data(), end, id);
        parsed.ec != std::errc{} || parsed.ptr != end || id <= 0)
      continue;
    auto target = disk_.read_symlink(space_link_path(spaces_root(), space_id{id}));
    if (!target)
      return pass_failure(target);
    linked.push_back({space_id{id}, space_purpose::journal, std::move(*target), {}, now_us()});
  }
  return linked;
}

/// By the directories alone: the database may not know any.
result<bool> node_store::holds_value_files() {
  auto linked = linked_spaces();
  if (!linked)
    return pass_failure(linked);
  auto found = file_spaces(disk_, spaces_root(), std::move(*linked), reserve_of(settings_)).scan();
  if (!found)
    return pass_failure(found);
  for (const auto& entry : found->files) {
    auto file = disk_.open_for_read(entry.path);
    if (!file)
      return pass_failure(file);
    auto size = (*file)->size();
    if (!size)
      return pass_failure(size);
    if (*size > file_header_bytes)
      return true;
  }
  return false;
}

result<file_space> node_store::prepare_default_space() {
  file_space space{default_space, space_purpose::journal, directory_.journal_path(), "default", now_us()};
  if (auto prepared = file_spaces::prepare(disk_, spaces_root(), space); !prepared)
    return pass_failure(prepared);
  return space;
}

result<void> node_store::open_spaces(const std::vector<file_space>& rows) {
  auto spaces = rows;
  if (spaces.empty()) {
    auto space = prepare_default_space();
    if (!space)
      return pass_failure(space);
    spaces.push_back(std::move(*space));
  }
  auto opened = std::make_shared<file_spaces>(disk_, spaces_root(), std::move(spaces), reserve_of(settings_));
  if (auto checked = opened->check(); !checked)
    return checked;
  for (const auto& space : opened->all())
    if (auto held = directory_.hold_space(space.path); !held)
      return held;
  const std::lock_guard lock(spaces_mutex_);
  spaces_ = std::move(opened);
  return {};
}

std::shared_ptr<file_spaces> node_store::current_spaces() const {
  const std::lock_guard lock(spaces_mutex_);
  return spaces_;
}

result<created_value_file> node_store::make_value_file(value_file_id id) {
  const std::lock_guard lock(creation_mutex_);
  const auto spaces = current_spaces();
  auto space = spaces->choose_journal_space();
  if (!space && space.error().code == errc::no_space)
    space = spaces->choose_journal_space(
      file_spaces::reserve_use::spend); // archives are refused before it comes here
  if (!space)
    return pass_failure(space);
  auto made = spaces->create_value_file(*space, id, settings_.io);
  if (!made)
    return pass_failure(made);
  return created_value_file{std::move(made->file), *space};
}

result<void> node_store::remove_value_file(space_id space, value_file_id id) {
  const auto path = value_file_path(spaces_root(), space, id);
  if (auto removed = disk_.remove(path); !removed)
    return removed;
  return disk_.sync_directory(path.substr(0, path.rfind('/')));
}

bool node_store::has_space() { return current_spaces()->choose_journal_space().has_value(); }

std::vector<space_status> node_store::space_states() {
  std::vector<space_status> states;
  const auto spaces = current_spaces();
  if (!spaces)
    return states;
  for (const auto& space : spaces->all()) {
    const auto room = disk_.space_at(space.path);
    states.push_back({space.space, std::string{to_string(space.purpose)}, space.path,
                      room ? room->available_bytes : 0, room ? room->total_bytes : 0});
  }
  return states;
}

namespace {

/// A database that lost rounds lost the rows of the files begun in them, without which nothing in these files
/// is found. They come back as open ones: the next start closes them, as after a crash.
result<void> put_lost_file_rows(node_database& database, const log_directory& log) {
  auto state = database.load_state();
  if (!state)
    return pass_failure(state);
  std::vector<value_file_row> lost;
  for (const auto& file : log.files)
    if (std::none_of(state->value_files.begin(), state->value_files.end(),
                     [&](const value_file_row& row) { return row.id == file.id; }))
      lost.push_back(value_file_summary(file.id, file.space, file.header.creation_time).open_row());
  return database.put_value_files(lost);
}

} // namespace

result<replay_outcome> node_store::replay(node_database& database, log_sequence_number from,
                                          log_sequence_number to) {
  auto log = log_directory::scan(disk_, *current_spaces(), settings_.cluster_name, settings_.id);
  if (!log)
    return pass_failure(log);
  // First: readers are answered as soon as the position is right.
  if (auto put = put_lost_file_rows(database, *log); !put)
    return pass_failure(put);
  return replay_log(disk_, *log, database, from, to);
}

namespace {

/// Appends records of the node's own, syncs them and makes them visible: a round before there are actors.
result<log_sequence_number> own_round(value_log& log, node_database& database, log_sequence_number position,
                                      std::vector<record_body> bodies) {
  auto appended = log.append(bodies);
  if (appended.failed)
    return tl::unexpected(std::move(*appended.failed));
  if (auto synced = log.sync(); !synced)
    return pass_failure(synced);
  std::vector<placed_record> records;
  for (std::size_t i = 0; i < bodies.size(); ++i)
    records.push_back({std::move(bodies[i]), appended.placements[i]});
  node_database::round round;
  round.expected_position = position;
  round.new_position = records.back().at.lsn;
  round.records = records;
  round.file_rows = appended.file_rows;
  if (auto begun = database.begin_round(round); !begun)
    return pass_failure(begun);
  if (auto committed = database.commit_round(); !committed)
    return pass_failure(committed);
  return round.new_position;
}

} // namespace

result<recovered_store> node_store::recover() {
  auto value_files_exist = holds_value_files();
  if (!value_files_exist)
    return pass_failure(value_files_exist);
  auto database = node_database::open(connection_, identity(),
                                      *value_files_exist ? node_database::if_empty::refuse
                                                         : node_database::if_empty::create);
  if (!database)
    return pass_failure(database);
  auto state = (*database)->load_state();
  if (!state)
    return pass_failure(state);
  if (auto opened = open_spaces(state->file_spaces); !opened)
    return pass_failure(opened);

  auto log = log_directory::scan(disk_, *spaces_, settings_.cluster_name, settings_.id);
  if (!log)
    return pass_failure(log);
  log_recovery run(disk_, **database, *log);
  if (auto done = run.run(); !done)
    return pass_failure(done);

  value_log_options options;
  options.cluster_name = settings_.cluster_name;
  options.node_name = settings_.node_name;
  options.node = settings_.id;
  options.max_file_bytes = settings_.max_value_file_bytes;
  recovered_store out;
  out.log = std::make_unique<value_log>(options, run.start_of_log(),
                                        [this](value_file_id id) { return make_value_file(id); });
  auto row = out.log->open();
  if (!row)
    return pass_failure(row);
  if (auto put = (*database)->put_value_files({&*row, 1}); !put)
    return pass_failure(put);

  // The log tells everything about the node: itself, its spaces, and what the crash cancelled.
  state = (*database)->load_state();
  if (!state)
    return pass_failure(state);
  std::vector<record_body> own;
  const node_record self{settings_.id, settings_.node_name, {}, 0};
  if (std::none_of(state->nodes.begin(), state->nodes.end(),
                   [&](const node_record& node) { return node.node == self.node; })) {
    own.emplace_back(self);
    state->nodes.push_back(self);
  }
  for (const auto& space : spaces_->all())
    if (std::none_of(state->file_spaces.begin(), state->file_spaces.end(),
                     [&](const file_space& known) { return known.space == space.space; }))
      own.emplace_back(space);
  auto active = (*database)->active_segments();
  if (!active)
    return pass_failure(active);
  for (const auto& segment : *active) {
    own.emplace_back(cancel_record{segment.id, segment.key, now_us(), cancel_reason::restart});
    out.machine.cancelled.push_back(segment.key);
  }
  out.machine.position = run.position();
  if (!own.empty()) {
    auto position = own_round(*out.log, **database, run.position(), std::move(own));
    if (!position)
      return pass_failure(position);
    out.machine.position = *position;
  }
  out.machine.next_row_id = std::max(run.max_row_id(), state->max_row_id) + 1;
  auto fenced = (*database)->cancelled_keys(max_fence_keys);
  if (!fenced)
    return pass_failure(fenced);
  std::move(fenced->begin(), fenced->end(), std::back_inserter(out.machine.cancelled));

  out.report = run.report();
  out.report.segments_cancelled = static_cast<std::int64_t>(active->size());
  out.nodes = std::make_shared<node_directory>(state->nodes);
  out.database = std::move(*database);
  return out;
}

} // namespace cairn
