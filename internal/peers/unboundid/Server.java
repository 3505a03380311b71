import com.fasterxml.jackson.databind.node.ObjectNode;
import com.fasterxml.jackson.jakarta.rs.json.JacksonJsonProvider;
import com.unboundid.scim2.common.GenericScimResource;
import com.unboundid.scim2.common.exceptions.ResourceConflictException;
import com.unboundid.scim2.common.exceptions.ResourceNotFoundException;
import com.unboundid.scim2.common.exceptions.ScimException;
import com.unboundid.scim2.common.messages.PatchRequest;
import com.unboundid.scim2.common.types.EnterpriseUserExtension;
import com.unboundid.scim2.common.types.GroupResource;
import com.unboundid.scim2.common.types.Meta;
import com.unboundid.scim2.common.types.UserResource;
import com.unboundid.scim2.common.utils.JsonUtils;
import com.unboundid.scim2.server.annotations.ResourceType;
import com.unboundid.scim2.server.providers.DefaultContentTypeFilter;
import com.unboundid.scim2.server.providers.JsonProcessingExceptionMapper;
import com.unboundid.scim2.server.providers.RuntimeExceptionMapper;
import com.unboundid.scim2.server.providers.ScimExceptionMapper;
import com.unboundid.scim2.server.utils.ResourcePreparer;
import com.unboundid.scim2.server.utils.ResourceTypeDefinition;
import com.unboundid.scim2.server.utils.SchemaChecker;
import com.unboundid.scim2.server.utils.SimpleSearchResults;
import jakarta.ws.rs.Consumes;
import jakarta.ws.rs.GET;
import jakarta.ws.rs.PATCH;
import jakarta.ws.rs.POST;
import jakarta.ws.rs.Path;
import jakarta.ws.rs.PathParam;
import jakarta.ws.rs.Produces;
import jakarta.ws.rs.core.Context;
import jakarta.ws.rs.core.Response;
import jakarta.ws.rs.core.UriInfo;
import java.net.URI;
import java.util.Calendar;
import java.util.Locale;
import java.util.Map;
import java.util.UUID;
import java.util.concurrent.ConcurrentHashMap;
import org.glassfish.grizzly.http.server.HttpServer;
import org.glassfish.jersey.grizzly2.httpserver.GrizzlyHttpServerFactory;
import org.glassfish.jersey.server.ResourceConfig;

/**
 * The smallest SCIM server that the UnboundID SDK makes behind Jersey: users and
 * groups as the SDK's generic resources in concurrent maps, a map for the
 * uniqueness of userName, no authentication, nothing persisted. Schema checks,
 * PATCH, filters and pages are the SDK's. A PATCH takes its turn for the
 * resource, so none is lost. It listens on a free port of the loopback, prints
 * it as "port N", and ends with its standard input.
 */
public final class Server {
	static final String SCIM = "application/scim+json";

	/** What users and groups have in common. */
	public abstract static class Endpoint {
		private final ResourceTypeDefinition type;
		private final SchemaChecker checker;
		private final String unique;
		private final boolean checked;
		private final Map<String, GenericScimResource> all = new ConcurrentHashMap<>();
		private final Map<String, String> names = new ConcurrentHashMap<>();

		Endpoint(String unique, boolean checked) {
			this.type = ResourceTypeDefinition.fromJaxRsResource(getClass());
			this.checker = new SchemaChecker(type);
			this.unique = unique;
			this.checked = checked;
		}

		@POST
		@Consumes({SCIM, "application/json"})
		@Produces(SCIM)
		public Response create(ObjectNode body, @Context UriInfo uri) throws ScimException {
			if (checked) {
				checker.checkCreate(body).throwSchemaExceptions();
			}
			GenericScimResource made = new GenericScimResource(checker.removeReadOnlyAttributes(body.deepCopy()));
			made.setId(UUID.randomUUID().toString());
			Meta meta = new Meta();
			meta.setCreated(Calendar.getInstance());
			meta.setLastModified(meta.getCreated());
			made.setMeta(meta);
			if (unique != null) {
				String name = made.getObjectNode().path(unique).asText().toLowerCase(Locale.ROOT);
				if (names.putIfAbsent(name, made.getId()) != null) {
					throw ResourceConflictException.uniqueness(unique + " is taken");
				}
			}
			ResourcePreparer<GenericScimResource> preparer = new ResourcePreparer<>(type, uri);
			preparer.setResourceTypeAndLocation(made);
			all.put(made.getId(), made);
			GenericScimResource answer = preparer.trimCreatedResource(made, new GenericScimResource(body));
			return Response.status(201).entity(answer).build();
		}

		@GET
		@Path("{id}")
		@Produces(SCIM)
		public GenericScimResource retrieve(@PathParam("id") String id, @Context UriInfo uri) throws ScimException {
			GenericScimResource found = all.get(id);
			if (found == null) {
				throw new ResourceNotFoundException("No resource with the id " + id);
			}
			return new ResourcePreparer<GenericScimResource>(type, uri).trimRetrievedResource(found);
		}

		@GET
		@Produces(SCIM)
		public SimpleSearchResults<GenericScimResource> search(@Context UriInfo uri) throws ScimException {
			return new SimpleSearchResults<GenericScimResource>(type, uri).addAll(all.values());
		}

		@PATCH
		@Path("{id}")
		@Consumes({SCIM, "application/json"})
		@Produces(SCIM)
		public GenericScimResource modify(@PathParam("id") String id, PatchRequest patch, @Context UriInfo uri) throws ScimException {
			ScimException[] failure = new ScimException[1];
			GenericScimResource changed = all.computeIfPresent(id, (key, old) -> {
				try {
					ObjectNode node = old.getObjectNode().deepCopy();
					if (checked) {
						checker.checkModify(patch.getOperations(), node).throwSchemaExceptions();
					}
					GenericScimResource next = new GenericScimResource(node);
					patch.apply(next);
					Meta meta = next.getMeta();
					meta.setLastModified(Calendar.getInstance());
					next.setMeta(meta);
					return next;
				} catch (ScimException e) {
					failure[0] = e;
					return old;
				}
			});
			if (failure[0] != null) {
				throw failure[0];
			}
			if (changed == null) {
				throw new ResourceNotFoundException("No resource with the id " + id);
			}
			return new ResourcePreparer<GenericScimResource>(type, uri).trimModifiedResource(changed, patch.getOperations());
		}
	}

	@ResourceType(name = "User", description = "User", schema = UserResource.class, optionalSchemaExtensions = EnterpriseUserExtension.class)
	@Path("Users")
	public static final class Users extends Endpoint {
		public Users() {
			super("userName", true);
		}
	}

	@ResourceType(name = "Group", description = "Group", schema = GroupResource.class)
	@Path("Groups")
	public static final class Groups extends Endpoint {
		public Groups() {
			// The SDK's checker wants a $ref of each member, which no client sends.
			super(null, false);
		}
	}

	public static void main(String[] args) throws Exception {
		ResourceConfig config = new ResourceConfig()
			.register(new JacksonJsonProvider(JsonUtils.createObjectMapper()))
			.register(ScimExceptionMapper.class)
			.register(RuntimeExceptionMapper.class)
			.register(JsonProcessingExceptionMapper.class)
			.register(DefaultContentTypeFilter.class)
			.registerInstances(new Users(), new Groups());
		HttpServer server = GrizzlyHttpServerFactory.createHttpServer(URI.create("http://127.0.0.1:0/"), config);
		server.getListeners().forEach(l -> l.getKeepAlive().setMaxRequestsCount(-1));
		System.out.println("port " + server.getListeners().iterator().next().getPort());
		while (System.in.read() >= 0) {
		}
		System.exit(0);
	}
}
