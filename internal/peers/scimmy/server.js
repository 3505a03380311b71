// The smallest SCIM server that scimmy-routers makes: users and groups in Maps,
// a Map for the uniqueness of userName, no authentication, nothing persisted.
// Filters, sorting and pages are the library's. It listens on a free port of
// the loopback, prints it as "port N", and ends with its standard input.
//
// STORE_MS makes each call of the store take so many milliseconds, as one over
// a network does.
import {randomUUID} from "node:crypto";
import express from "express";
import SCIMMY from "scimmy";
import SCIMMYRouters from "scimmy-routers";

const pause = Number(process.env.STORE_MS ?? 0);
const store = pause ? () => new Promise(done => setTimeout(done, pause)) : () => undefined;
const names = new Map();

function keep(Resource, name) {
	const all = new Map();
	SCIMMY.Resources.declare(Resource)
		.egress(async resource => {
			if (pause) await store();
			if (!resource.id) {
				const every = [...all.values()];
				return resource.filter ? resource.filter.match(every) : every;
			}
			const found = all.get(resource.id);
			if (!found) throw new SCIMMY.Types.Error(404, null, `Resource ${resource.id} not found`);
			return found;
		})
		.ingress(async (resource, data) => {
			if (pause) await store();
			const old = resource.id ? all.get(resource.id) : undefined;
			if (resource.id && !old) throw new SCIMMY.Types.Error(404, null, `Resource ${resource.id} not found`);
			const id = resource.id ?? randomUUID();
			if (name) {
				const key = data[name].toLowerCase();
				if ((names.get(key) ?? id) !== id) throw new SCIMMY.Types.Error(409, "uniqueness", `${name} is taken`);
				if (old) names.delete(old[name].toLowerCase());
				names.set(key, id);
			}
			const now = new Date().toISOString();
			const kept = {...data, id, meta: {created: old?.meta.created ?? now, lastModified: now}};
			all.set(id, kept);
			return kept;
		})
		.degress(async resource => {
			if (pause) await store();
			const old = all.get(resource.id);
			if (!old) throw new SCIMMY.Types.Error(404, null, `Resource ${resource.id} not found`);
			if (name) names.delete(old[name].toLowerCase());
			all.delete(resource.id);
		});
}

SCIMMY.Schemas.User.extend(SCIMMY.Schemas.EnterpriseUser);
keep(SCIMMY.Resources.User, "userName");
keep(SCIMMY.Resources.Group);
// The limit of a body is the one of bulk: groups of 100,000 must fit.
SCIMMY.Config.set({bulk: {supported: true, maxOperations: 1000, maxPayloadSize: 64 << 20}});

const app = express();
app.use("/", new SCIMMYRouters({type: "bearer", handler: () => ""}));
const server = app.listen(0, "127.0.0.1", () => console.log(`port ${server.address().port}`));
server.keepAliveTimeout = 600_000;
process.stdin.on("end", () => process.exit()).resume();
