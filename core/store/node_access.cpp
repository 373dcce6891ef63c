#include "core/store/node_access.hpp"

#include <filesystem>

#include <fmt/format.h>

namespace cairn {

result<node_settings> settings_of(const node_location& where) {
  std::error_code error;
  const auto path = std::filesystem::absolute(where.data_directory, error).lexically_normal().string();
  auto identity = data_directory::identity_in(path);
  if (!identity)
    return pass_failure(identity);
  if (!*identity)
    return fail(errc::not_found,
                fmt::format("{} is no node's data directory: it has no file 'identity'", path));
  node_settings settings;
  settings.data_directory = path;
  settings.cluster_name = (*identity)->cluster_name;
  settings.node_name = (*identity)->node_name;
  settings.id = (*identity)->id;
  settings.database = where.database;
  settings.postgres_bin_directory = where.postgres_bin_directory;
  return settings;
}

result<node_access> access_node(disk& disk, const node_location& where) {
  auto settings = settings_of(where);
  if (!settings)
    return pass_failure(settings);
  node_access out;
  out.identity = {settings->cluster_name, settings->node_name, settings->id};
  const auto is_running = [&] {
    const auto locked = data_directory::open(settings->data_directory);
    return !locked && locked.error().code == errc::conflict;
  }();
  if (is_running) {
    out.spaces_root = settings->data_directory + "/spaces";
    out.database = settings->database;
    if (out.database.empty()) {
      auto own = managed_postgres::connection_string_in(settings->data_directory + "/postgres",
                                                        node_store::own_database_name);
      if (!own)
        return pass_failure(own);
      out.database = std::move(*own);
    }
    return out;
  }
  auto store = node_store::open(disk, std::move(*settings));
  if (!store)
    return pass_failure(store);
  out.store = std::move(*store);
  out.spaces_root = out.store->spaces_root();
  out.database = out.store->database_connection();
  return out;
}

} // namespace cairn
